# A page that builds itself by script, rendered without a window, as a document and as a picture.
# Chromium brings an allocator of its own (PartitionAlloc, as malloc too): what this shows is that
# the library is loaded and does no harm.
packages=(chromium binutils python3)
commands=(/usr/bin/chromium)
loaded=(chromium:own)

refuse() {
    [ "$(id -u)" = 0 ] || unshare -U true 2>/dev/null || { echo "no user namespaces for its sandbox"; return 1; }
}

render() {
    # Its sandbox wants namespaces, which containers often refuse: without it.
    under "${user[@]}" /usr/bin/chromium --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage \
        --no-first-run --disable-extensions --disable-background-networking --disable-component-update \
        --disable-sync --force-device-scale-factor=1 --hide-scrollbars --host-resolver-rules='MAP * ~NOTFOUND' \
        --user-data-dir="$PWD/state/profile" --virtual-time-budget=20000 --timeout=60000 "$@"
}

work() {
    own_directory state
    export HOME=$PWD/state XDG_RUNTIME_DIR=$PWD/state
    cp "$data/page.html" .
    chmod a+rX . page.html
    render --dump-dom "file://$PWD/page.html" >"$results/document"
    grep -q '<p id="end">' "$results/document"
    render --screenshot="$PWD/state/picture.png" --window-size=800,600 "file://$PWD/page.html"
    python3 - state/picture.png >"$results/picture" <<-END
		import struct, sys
		data = open(sys.argv[1], "rb").read()
		print(struct.unpack(">II", data[16:24]))
	END
    ! defines_malloc /usr/lib/chromium/chromium ||
        note "chromium defines malloc itself (PartitionAlloc): its objects are not Casemate's"
}
