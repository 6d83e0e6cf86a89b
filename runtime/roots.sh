# Sourced after common.sh by what makes Debian roots: runtime/provision and runtime/tools/run.

lacking='there is no DOLFINx here'
otherwise='install DOLFINx 0.9 or later, for instance from conda-forge (runtime/environment.yml)'

# tools: mmdebstrap, the mount that it works better with, and Bubblewrap, installed where apt is and the user may
tools() {
    exec {lock}>"$cache/tools.lock"
    flock "$lock"
    if ! type -P mmdebstrap bwrap mount >/dev/null; then
        type -P apt-get >/dev/null || die 3 "$lacking, and no apt-get to fetch one with; $otherwise."
        ((EUID == 0)) || die 3 "$lacking; as root, install mmdebstrap and bubblewrap, or $otherwise."
        say "installing mmdebstrap and bubblewrap"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update >&2 || true # other sources than Debian may be broken
        apt-get install -y --no-install-recommends \
            mmdebstrap mount bubblewrap debian-archive-keyring >&2 ||
            die 3 "apt-get could not install mmdebstrap and bubblewrap, see above; correct that, or $otherwise."
    fi
    exec {lock}>&-
}

# once TARGET MAKE: runs `MAKE TEMPORARY` and renames the result to TARGET, unless some process has already
once() {
    local target=$1 temporary=$1.part
    [[ ! -d $target ]] || return 0
    exec {lock}>"$target.lock"
    if ! flock --nonblock "$lock"; then
        say "waiting for another process that is making $target"
        flock "$lock"
    fi
    if [[ ! -d $target ]]; then
        rm -rf --one-file-system "$temporary" # of a call that was killed
        "$2" "$temporary"
        mv --no-target-directory "$temporary" "$target"
    fi
    exec {lock}>&-
}

# debian_root MAKE TARGET WHAT: a root of the suite `kind`, by a script that says what is in it
debian_root() {
    ((EUID == 0)) || may_make_root || die 3 "$lacking, and to fetch Debian's takes root, or a user who may make user namespaces (Debian's package uidmap, and lines for $(id -un) in /etc/subuid and /etc/subgid); without either, $otherwise."
    say "making a Debian $kind root with $3; once per machine"
    local apart=()
    ((EUID != 0)) || apart=(unshare --mount) # so that /proc and /dev do not stay mounted there if it is killed
    "${apart[@]}" "$1" "$kind" "$2" ||
        die 3 "Debian $kind could not be fetched or installed, see above; correct that, or $otherwise."
}

# may_make_root: whether mmdebstrap can work without root
may_make_root() {
    local file
    type -P newuidmap newgidmap >/dev/null && unshare --user true 2>/dev/null || return 1
    for file in /etc/subuid /etc/subgid; do
        grep -qsE "^($(id -un)|$(id -u)):" "$file" || return 1
    done
}
