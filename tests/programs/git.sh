# A generated repository, then what works git hardest: clone, repack with threads, fsck, blame, gc.
short=yes
packages=(git)
commands=(/usr/bin/git)
loaded=(git)

work() {
    local commits=4000
    [ -z "$SHORT" ] || commits=1000
    export HOME=$PWD GIT_CONFIG_NOSYSTEM=1
    git config --global user.name test
    git config --global user.email test@example.invalid
    git config --global pack.threads 4
    perl "$data/history.pl" "$commits" >stream
    git init -q --bare -b main source
    under git -C source fast-import --quiet <stream
    under git clone -q --no-local source copy
    cd copy
    under git repack -q -a -d -f --depth=50 --window=50
    under git fsck --full --strict >"$results/fsck"
    under git log --stat --format='%H %an %ad %s' >"$results/log"
    under git blame file1 >"$results/blame"
    under git diff --stat HEAD~100 >"$results/diff"
    under git grep -c needle >"$results/grep" || true
    git checkout -q -b side HEAD~50
    echo side >side
    git add side
    GIT_COMMITTER_DATE=@1700000000 GIT_AUTHOR_DATE=@1700000000 git commit -q -m side
    GIT_COMMITTER_DATE=@1700000001 under git rebase -q main
    git rev-parse HEAD HEAD^{tree} >"$results/heads"
    under git gc -q --aggressive --prune=now
    git verify-pack .git/objects/pack/*.idx
    git fsck --full >>"$results/fsck"
    git rev-list --objects --all | sort >"$results/objects"
    under git archive HEAD | sha256sum >"$results/archive"
}
