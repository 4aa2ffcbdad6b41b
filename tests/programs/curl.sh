# Transfers of many files at once, resumed, uploaded, over TLS, from a server on loopback.
packages=(curl openssl python3)
commands=(/usr/bin/curl openssl python3)
loaded=(curl)

fetch() { under curl -sS --max-time 60 --cacert certificate.pem "$@"; }

work() {
    local port tls i
    port=$(free_port)
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
        -keyout key.pem -out certificate.pem
    mkdir files
    for ((i = 1; i <= 60; i++)); do seq $((i * i * 20)) >"files/$i"; done
    # Not under the library: curl is the subject. Two ports: plain, and TLS.
    python3 "$data/server.py" "$port" files &
    started+=("$!")
    tls=$((port + 1))
    eventually curl -sf "http://127.0.0.1:$port/1"
    eventually curl -sfk "https://localhost:$tls/1"
    mkdir a b c
    fetch --parallel --parallel-max 20 "http://127.0.0.1:$port/[1-60]" -o 'a/#1'
    fetch --parallel --parallel-max 20 "https://localhost:$tls/[1-60]" -o 'b/#1'
    fetch --compressed --http1.1 "https://localhost:$tls/{3,5,9}" -o 'c/#1' -D c/headers
    fetch -r 100-2000 "http://127.0.0.1:$port/40" -o c/part
    fetch -T files/60 "http://127.0.0.1:$port/up" -o c/up
    fetch -F field=value -F "file=@files/50" "https://localhost:$tls/form" | wc -c >"$results/form"
    fetch -L -c c/cookies -b 'a=b' "http://127.0.0.1:$port/redirect/5" -o c/redirected
    fetch "file://$PWD/files/7" -o c/file
    fetch "http://127.0.0.1:$port/missing" -f || echo "status $?" >"$results/missing"
    fetch --tls-max 1.2 --tlsv1.3 "https://localhost:$tls/1" || echo "status $?" >>"$results/missing"
    (cd a && sha256sum ./*) >"$results/plain"
    (cd b && sha256sum ./*) >"$results/tls"
    cksum c/3 c/5 c/9 c/part c/up c/redirected c/file >"$results/others"
}
