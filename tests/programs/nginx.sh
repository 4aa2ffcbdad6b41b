# Two workers under ab: static files, compression, a proxy to itself; a reload in the middle.
packages=(nginx-light apache2-utils curl)
commands=(nginx ab curl)
loaded=(nginx)

get() { curl -sf --max-time 20 "http://127.0.0.1:$port/$1" "${@:2}"; }
load() { ab -q -s 60 "$@" | grep -E '^(Complete|Failed|Non-2xx)'; }

work() {
    local port server i
    port=$(free_port)
    own_directory state
    mkdir www
    for ((i = 1; i <= 20; i++)); do
        seq -s " number $i " $((i * i * 150)) >"www/$i.txt"
    done
    cat >nginx.conf <<-END
		daemon off;
		pid $PWD/state/pid;
		error_log $PWD/state/errors info;
		worker_processes 2;
		events { worker_connections 512; }
		http {
		    access_log $PWD/state/access;
		    client_body_temp_path $PWD/state/a; proxy_temp_path $PWD/state/b;
		    fastcgi_temp_path $PWD/state/c; uwsgi_temp_path $PWD/state/d; scgi_temp_path $PWD/state/e;
		    types { text/plain txt; }
		    gzip on; gzip_min_length 100; gzip_proxied any;
		    proxy_cache_path $PWD/state/cache keys_zone=zone:1m;
		    upstream self { server 127.0.0.1:$port; keepalive 8; }
		    server {
		        listen 127.0.0.1:$port reuseport;
		        root $PWD/www;
		        location /proxy/ { proxy_pass http://self/; proxy_http_version 1.1; proxy_set_header Connection ""; }
		        location /cache/ { proxy_pass http://self/; proxy_cache zone; proxy_cache_valid 200 1s; }
		        location ~ ^/map/(?<name>[a-z]+)/(.*)\$ { return 200 "name \$name rest \$2 host \$host\n"; }
		    }
		}
	END
    chmod -R a+rX .
    start "${user[@]}" nginx -e "$PWD/state/errors" -c "$PWD/nginx.conf"
    server=$!
    eventually get 1.txt
    {
        load -n 20000 -c 50 -k "http://127.0.0.1:$port/3.txt"
        load -n 3000 -c 20 -H 'Accept-Encoding: gzip' "http://127.0.0.1:$port/12.txt"
        load -n 3000 -c 20 -k "http://127.0.0.1:$port/proxy/9.txt"
        kill -HUP "$(cat state/pid)"
        load -n 3000 -c 20 -r "http://127.0.0.1:$port/cache/6.txt"
        load -n 3000 -c 20 -k "http://127.0.0.1:$port/map/abc/$(printf 'x%.0s' {1..900})"
        for ((i = 1; i <= 20; i++)); do
            get "$i.txt" | cksum
            get "$i.txt" --compressed -H 'Range: bytes=100-' | cksum
            get "proxy/$i.txt" --compressed | cksum
            get "cache/$i.txt" -d 'a body' -o /dev/null -w '%{http_code}\n' || true
        done
        get map/abc/def
    } >"$results/answers"
    grep -c '" 200 ' state/access >"$results/count"
    kill -QUIT "$(cat state/pid)"
    stop "$server" QUIT
    # A worker that died is in nginx's own log.
    grep -E 'exited on signal|\[(alert|emerg|crit)\]' state/errors | sed 's/.*\[/[/' >"$results/alerts" || true
}
