"""Makes lists of strings and tuples and sorts them by changing keys."""
import random
import sys

random.seed(2)
for _ in range(max(1, int(6 * float(sys.argv[1])))):
    rows = [("%x" % random.getrandbits(48), random.random(), str(i)) for i in range(40000)]
    rows.sort()
    rows.sort(key=lambda row: row[1])
    rows.sort(key=lambda row: row[2][::-1])
    groups = {}
    for row in rows:
        groups.setdefault(row[0][:3], []).append(row)
    sorted(groups.items(), key=lambda item: (len(item[1]), item[0]))
