# Keys of every kind, then logins to a loopback sshd. The process that speaks to the network before
# the login is confined by seccomp; that it has the library is looked up in its mappings, since
# sshd closes the report's descriptor before it executes itself.
packages=(openssh-server openssh-client)
commands=(/usr/sbin/sshd ssh ssh-keygen scp)
loaded=(ssh-keygen ssh scp sftp)

refuse() {
    [ "$(id -u)" = 0 ] || { echo "sshd does not separate privileges unless it is started by root"; return 1; }
}

# The options of both; ssh and scp name the port differently.
login() {
    under "$1" -F none -i "$PWD/${key:-ed25519}" -o IdentitiesOnly=yes -o Port="$port" -o BatchMode=yes \
        -o UserKnownHostsFile="$PWD/known" -o StrictHostKeyChecking=yes "${@:2}"
}

work() {
    local port server kind connection child
    for kind in ed25519 ecdsa rsa; do
        under ssh-keygen -q -t "$kind" -N '' -f "$kind"
        under ssh-keygen -q -p -P '' -N secret -f "$kind"
        under ssh-keygen -q -p -P secret -N '' -f "$kind"
        ssh-keygen -l -f "$kind.pub" | awk '{ print $1, $NF }' >>"$results/kinds"
    done
    date >text
    under ssh-keygen -q -Y sign -n test -f rsa text
    echo "me $(cat rsa.pub)" >signers
    under ssh-keygen -Y verify -f signers -I me -n test -s text.sig <text | sed 's/ with .*//' >"$results/verified"
    ssh-keygen -q -t ed25519 -N '' -f host

    port=$(free_port)
    # sshd's own root for the process before the login; a service manager makes it elsewhere.
    mkdir -p /run/sshd
    cp ed25519.pub authorized
    echo "[127.0.0.1]:$port $(cat host.pub)" >known
    start /usr/sbin/sshd -D -e -f none -p "$port" -h "$PWD/host" -o ListenAddress=127.0.0.1 \
        -o PidFile=none -o AuthorizedKeysFile="$PWD/authorized" -o StrictModes=no -o UsePAM=no \
        -o PermitRootLogin=yes -o PasswordAuthentication=no -o LoginGraceTime=30 \
        -o MaxStartups=100 -o Subsystem="sftp internal-sftp"
    server=$!
    eventually ssh-keyscan -p "$port" 127.0.0.1

    # Before the login: the confined process.
    exec {connection}<>"/dev/tcp/127.0.0.1/$port"
    read -r -u "$connection" -t 20 _
    printf 'SSH-2.0-test\r\n' >&"$connection"
    eventually confined "$server"
    child=$(confined "$server")
    grep '^Seccomp:' "/proc/$child/status" >"$results/confined"
    maps_library "$child"
    exec {connection}<&-

    local i
    for i in 1 2 3 4 5; do
        login ssh 127.0.0.1 "seq $i 1000; exit $i" >>"$results/logins" || echo "status $?" >>"$results/logins"
    done
    seq 300000 >file
    login scp file "127.0.0.1:$PWD/copied"
    login scp "127.0.0.1:$PWD/copied" back
    cksum <back >"$results/copied"
    login ssh -C -o Ciphers=aes256-ctr -o MACs=hmac-sha2-512 127.0.0.1 cat <file | cksum >>"$results/copied"
    login ssh -o RekeyLimit=64K 127.0.0.1 cat <file | cksum >>"$results/copied"
    # Refused: the confined process handles that, too.
    ! key=rsa login ssh 127.0.0.1 echo in >>"$results/logins"
    echo "get file got" | login sftp -b - 127.0.0.1:"$PWD" >/dev/null
    cksum <got >>"$results/copied"
    stop "$server" || true
}

# The process that sshd confines, whatever lies between: the launcher, sshd, its privileged monitor.
confined() {
    local child
    for child in $(pgrep -P "$1"); do
        if grep -aqF '[net]' "/proc/$child/cmdline"; then
            echo "$child"
            return
        fi
        ! confined "$child" || return 0
    done
    return 1
}
