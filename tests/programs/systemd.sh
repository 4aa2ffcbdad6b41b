# systemd grows its arrays to what malloc_usable_size says and writes up to there.
packages=(systemd)
commands=(systemd-analyze)
loaded=(systemd-analyze)

refuse() {
    local libraries
    libraries=$(find /usr/lib -name 'libsystemd-shared-*.so')
    grep -q malloc_usable_size $libraries || { echo "this systemd does not call malloc_usable_size"; return 1; }
}

work() {
    local i unit
    export SYSTEMD_LOG_LEVEL=err SYSTEMD_PAGER= SYSTEMD_COLORS=0
    under systemd-analyze calendar --base-time='2024-02-29 12:00:00 UTC' --iterations=300 \
        'Mon..Fri *-*-1/3 8..18:00,15,30,45:00' '*-02-29 *:0/7' weekly 'Sat,Sun *-12-* 1,2,3:*:0/20' |
        grep -v 'From now' >"$results/calendar"
    under systemd-analyze timespan 1s 5min '3 weeks 2 days 1h 17us' 1y >"$results/timespan"
    under systemd-analyze timestamp '2024-01-01 00:00:00 UTC' @1700000000 | grep -v 'From now' >"$results/timestamp"
    mkdir units
    for ((i = 1; i <= 150; i++)); do
        unit="units/test$i.service"
        {
            printf '[Unit]\nDescription=Number %s\nAfter=test%s.service\n' "$i" $((i - 1))
            printf '[Service]\nExecStart=/bin/echo %s "with %%n quotes" $VARIABLE\n' "$(seq -s ' ' "$i")"
            printf 'Environment="A%s=some value" B=%s\n' $(seq 1 $((i % 40 + 2)))
            printf 'ReadWritePaths=/var/%s /run/%s\nSystemCallFilter=@system-service\nSystemCallFilter=~@privileged\n' "$i" "$i"
            printf 'CapabilityBoundingSet=CAP_NET_ADMIN CAP_CHOWN\nRestrictAddressFamilies=AF_UNIX AF_INET\n'
        } >"$unit"
    done
    SYSTEMD_UNIT_PATH=$PWD/units: under systemd-analyze verify --man=no ./units/*.service >"$results/verify" 2>&1 || true
    under systemd-analyze security --offline=true --no-pager ./units/test{1,50,150}.service >"$results/security"
    under systemd-analyze syscall-filter >"$results/filters"
    under systemd-analyze exit-status >"$results/statuses"
    under systemd-analyze capability >"$results/capabilities"
    under systemd-analyze cat-config systemd/system.conf >"$results/config"
    under systemd-analyze condition 'ConditionKernelVersion = >3.0' 'ConditionPathExists = /etc' >"$results/conditions" 2>&1
    wc -l "$results"/* | tail -n 1
}
