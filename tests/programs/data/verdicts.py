"""Prints the verdict of every test in the JUnit report named, sorted."""
import sys
import xml.etree.ElementTree as tree

verdicts = []
for case in tree.parse(sys.argv[1]).iter("testcase"):
    verdict = case.get("result", "run")
    for child in case:
        if child.tag in ("failure", "error", "skipped"):
            verdict = child.tag
    verdicts.append(f"{case.get('name')} {verdict}")
if len(verdicts) < 50:
    sys.exit(f"only {len(verdicts)} tests ran")
print("\n".join(sorted(verdicts)))
