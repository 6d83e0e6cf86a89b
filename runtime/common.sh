# Sourced by what stands in runtime/, of which run and provision set `kind` (host, trixie or sid): where things are kept,
# and what commands need around them.

project=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
local_dir=$project/.runtime

say() { printf 'microlith runtime: %s\n' "$*" >&2; }

# die STATUS SENTENCE
die() {
    say "$2"
    exit "$1"
}

# default NAME VALUE: sets an environment variable unless the user has
default() { [[ -v $1 ]] || export "$1=$2"; }

# places: checks the clone's own, and finds ones for what is kept (`cache`) and for temporary files
places() {
    # PATH takes no colons; setuptools, ruff and others trip over the rest.
    [[ $project != *[:%\\[:cntrl:]]* ]] ||
        die 3 "the clone's path, ${project@Q}, has a colon, %, backslash or control character in it; move or rename it."
    [[ -w $local_dir ]] || mkdir -p "$local_dir" 2>/dev/null || true # a clone may be read-only once it is set up

    # Services, `env -i`, and some batch systems and containers have no HOME. Then it is what the user database says.
    [[ ${HOME:-} == /* ]] || HOME=$(unset HOME && printf '%s' ~)
    [[ $HOME == /?* ]] || HOME=$local_dir/home
    export HOME
    local cache_home=${XDG_CACHE_HOME:-}
    [[ $cache_home == /* ]] || cache_home=$HOME/.cache
    if ! { mkdir -p "$cache_home/microlith" 2>/dev/null && [[ -w $cache_home/microlith ]]; } 2>/dev/null; then
        export XDG_CACHE_HOME=$local_dir/cache
        cache_home=$XDG_CACHE_HOME
    fi
    cache=$cache_home/microlith
    local temporary=${TMPDIR:-/tmp}
    if [[ ! -d $temporary || ! -w $temporary ]]; then
        export TMPDIR=$local_dir/tmp
        mkdir -p "$TMPDIR" || die 3 "$temporary cannot be written to; set TMPDIR to a folder for temporary files."
    fi
}

# debian_environment ROOT: sets `enter`, the words that put a command into the root, and the variables it needs there.
# Only /usr and what belongs to it come from the root; files, network, users and settings stay the host's.
debian_environment() {
    local root=$1
    enter=(bwrap --die-with-parent --dev-bind / / --ro-bind "$root/usr" /usr
        --ro-bind "$root/etc/alternatives" /etc/alternatives --ro-bind "$root/etc/ld.so.cache" /etc/ld.so.cache)
    # The system's own, for commands of its batch system, which runtime/host calls
    if [[ -z $(ls -A "$root/mnt") ]]; then
        enter+=(--ro-bind /usr "$root/mnt")
        export MICROLITH_HOST_USR=$root/mnt
    fi
    export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$PATH
    # Libraries of the host, as `module load` names them, were made for another system.
    unset LD_LIBRARY_PATH OPAL_PREFIX PRTE_PREFIX PMIX_PREFIX PYTHONPATH
    # The host may have no /etc/openmpi to bind over, so Open MPI is told to read its settings where they are.
    default OPAL_SYSCONFDIR "$root/etc/openmpi"
    default PRTE_SYSCONFDIR "$root/etc/openmpi"
    default PMIX_SYSCONFDIR "$root/etc/openmpi"
    default H5PY_ALWAYS_USE_MPI 1 # Debian's h5py would take the serial HDF5 outside mpirun, DOLFINx the parallel one
    # The root serves one machine only: no search for networks, and within a job no calls of the batch system's own
    # commands, which are hidden there, for the machines of the job.
    default OMPI_MCA_btl self,sm
    default PRTE_MCA_plm ^slurm
    default PRTE_MCA_ras ^slurm
    variables
}

# variables: what lets MPI start any number of local ranks, as root too and without noise, one thread each, and keeps
# apart from this Python what was made for others
variables() {
    default OMPI_ALLOW_RUN_AS_ROOT 1
    default OMPI_ALLOW_RUN_AS_ROOT_CONFIRM 1
    if [[ $kind == sid ]]; then # Open MPI 6 has another name for it, and a notice about the old one
        default PRTE_MCA_mapby :oversubscribe
    else
        default PRTE_MCA_rmaps_default_mapping_policy :oversubscribe
    fi
    default HWLOC_HIDE_ERRORS 2
    default OMP_NUM_THREADS 1
    default OPENBLAS_NUM_THREADS 1
    # Memory in pages of 2 MB where the system has them for whoever asks: gmsh, which goes to and fro in it, takes a tenth
    # less time
    default GLIBC_TUNABLES glibc.malloc.hugetlb=1
    default PYTHONNOUSERSITE 1 # packages under ~/.local were made for another Python or another NumPy
    unset PYTHONHOME PYTHONOPTIMIZE # without docstrings the parser of C does not work, which compiling forms needs
}

# fingerprint TEXT...: short, stable name of what the arguments and the standard input say
fingerprint() { { printf '%s\0' "$@" && cat; } | sha256sum | cut -c1-12; }

# absolute FOLDERS: those of a list with colons that do not depend on the working folder
absolute() {
    local folder found=
    local IFS=:
    for folder in $1; do
        [[ $folder != /* ]] || found+=${found:+:}$folder
    done
    printf '%s\n' "$found"
}

# remove_unused: removes environments of earlier states of this clone that nobody has used for a month; who uses one
# holds a lock on its `ready`
remove_unused() {
    local old held
    for old in "$local_dir"/{host,trixie,sid}-*/; do
        old=${old%/}
        if [[ -f $old/ready ]]; then
            [[ -n $(find "$old/ready" -mtime +30) ]] || continue
            exec {held}<"$old/ready"
            if flock --exclusive --nonblock "$held"; then rm -rf "$old"; fi
            exec {held}<&-
        elif [[ -d $old && -n $(find "$old" -maxdepth 0 -mtime +30) ]]; then
            rm -rf "$old" # was never finished
        fi
    done
}
