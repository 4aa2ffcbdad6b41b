"""Works Python's sqlite3 module: callbacks of every kind, blobs, backups, threads, bad input."""
import hashlib
import random
import sqlite3
import threading

pseudo = random.Random(7)


class Median:
    def __init__(self):
        self.values = []

    def step(self, value):
        self.values.append(value)

    def finalize(self):
        return sorted(self.values)[len(self.values) // 2]


def open_one(name=":memory:"):
    connection = sqlite3.connect(name, check_same_thread=False)
    connection.create_function("digest", 1, lambda x: hashlib.md5(str(x).encode()).hexdigest())
    connection.create_aggregate("median", 1, Median)
    connection.create_collation("backwards", lambda a, b: (a < b) - (a > b))
    connection.row_factory = sqlite3.Row
    return connection


def words():
    return "".join(pseudo.choices("abcdefghij ", k=pseudo.randrange(200)))


connection = open_one()
connection.execute("create table t(id integer primary key, number, words text, bytes blob)")
rows = [(pseudo.randrange(10**9), words(), pseudo.randbytes(pseudo.randrange(3000))) for _ in range(20000)]
connection.executemany("insert into t(number, words, bytes) values(?, ?, ?)", rows)
connection.commit()
print(*connection.execute("select count(*), median(number), sum(length(bytes)) from t").fetchone())
print(hashlib.sha256("".join(r[0] for r in connection.execute("select digest(words) from t order by words collate backwards, id")).encode()).hexdigest())

blob = connection.blobopen("t", "bytes", max(range(1, 20001), key=lambda i: len(rows[i - 1][2])))
blob.write(b"x" * 1000)
print(len(blob), hashlib.sha256(blob.read()).hexdigest())
blob.close()

copy = open_one()
connection.backup(copy, pages=50)
print(hashlib.sha256("\n".join(copy.iterdump()).encode()).hexdigest())
image = connection.serialize()
third = open_one()
third.deserialize(image)
print(len(image), third.execute("pragma integrity_check").fetchone()[0])

for bad in ("select", "select * from missing", "insert into t values(1,2,3,4),(1,2,3,4)", "select digest(1, 2)"):
    try:
        connection.execute(bad)
    except sqlite3.Error as error:
        print(type(error).__name__, error)
connection.create_function("fails", 0, lambda: 1 / 0)
for _ in range(1000):
    try:
        connection.execute("select fails()")
    except sqlite3.OperationalError:
        pass
connection.rollback()


def reader(number, results):
    own = open_one()
    own.execute(f"create table own{number}(a, b)")
    own.executemany(f"insert into own{number} values(?, ?)", ((i, str(i) * 20) for i in range(3000)))
    own.commit()
    results[number] = own.execute(f"select sum(a), sum(length(b)) from own{number}").fetchone()[:]
    own.close()


results = {}
threads = [threading.Thread(target=reader, args=(i, results)) for i in range(8)]
for thread in threads:
    thread.start()
    thread.join(0.01)
for thread in threads:
    thread.join()
print(sorted(results.items()))
