# CPython's own tests, with its small-object pools off so that every object is the heap's. Compared
# is the verdict of every single test. Debian leaves out the tests of sqlite3; python_sqlite.py stands in.
short=yes
packages=(python3 libpython3.11-testsuite)
commands=(/usr/bin/python3)
loaded=(python3)

refuse() {
    /usr/bin/python3 -c 'import test.test_json' 2>/dev/null && return
    install_packages "libpython3-testsuite"
}

work() {
    local test tests=(test_json test_re)
    if [ -z "$SHORT" ]; then
        tests=(test_asyncio test_multiprocessing_fork test_subprocess test_threading test_pickle
            test_json test_re)
    fi
    export PYTHONMALLOC=malloc PYTHONHASHSEED=1
    # Most of the time is waiting, so all at once. A failed test shows in the verdicts.
    for test in "${tests[@]}"; do
        start python3 -m test --timeout 600 --junit-xml "$PWD/$test.xml" "$test"
    done
    under python3 "$data/python_sqlite.py" >"$results/sqlite3"
    wait_all
    for test in "${tests[@]}"; do
        python3 "$data/verdicts.py" "$test.xml" >"$results/$test"
    done
    note "$(cat "$results"/test_* | wc -l) tests"
}
