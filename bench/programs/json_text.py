"""Parses and prints a document of nested objects."""
import json
import random
import sys

random.seed(1)
word = lambda: "".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=random.randint(2, 24)))
document = json.dumps([
    {"id": i, "name": word(), "tags": [word() for _ in range(random.randint(0, 8))],
     "place": {"street": word(), "at": [random.random(), random.random()]}}
    for i in range(4000)
])
for _ in range(max(1, int(20 * float(sys.argv[1])))):
    json.dumps(json.loads(document))
