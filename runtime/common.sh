# Sourced by runtime/run and runtime/provision, which set `kind` (host, trixie or sid): where things are kept, and what
# commands need around them.

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/microlith
local_dir=$project/.runtime

say() { printf 'microlith runtime: %s\n' "$*" >&2; }

# die STATUS SENTENCE
die() {
    say "$2"
    exit "$1"
}

# default NAME VALUE: sets an environment variable unless the user has
default() { [[ -v $1 ]] || export "$1=$2"; }

# debian_environment ROOT: sets `enter`, the words that put a command into the root, and the variables it needs there.
# Only /usr and what belongs to it come from the root; files, network, users and settings stay the host's.
debian_environment() {
    local root=$1
    enter=(bwrap --die-with-parent --dev-bind / / --ro-bind "$root/usr" /usr
        --ro-bind "$root/etc/alternatives" /etc/alternatives --ro-bind "$root/etc/ld.so.cache" /etc/ld.so.cache)
    export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$PATH
    # The host may have no /etc/openmpi to bind over, so Open MPI is told to read its settings where they are.
    default OPAL_SYSCONFDIR "$root/etc/openmpi"
    default PRTE_SYSCONFDIR "$root/etc/openmpi"
    default PMIX_SYSCONFDIR "$root/etc/openmpi"
    default H5PY_ALWAYS_USE_MPI 1 # Debian's h5py would take the serial HDF5 outside mpirun, DOLFINx the parallel one
    default OMPI_MCA_btl self,sm  # the root serves one machine only: no search for networks
    mpi_environment
}

# What lets MPI start any number of local ranks, as root too and without noise, one thread each.
mpi_environment() {
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
    default PYTHONNOUSERSITE 1 # packages under ~/.local were made for another Python or another NumPy
    unset PYTHONHOME
}

# fingerprint TEXT...: short, stable name of what the arguments and the standard input say
fingerprint() { { printf '%s\0' "$@" && cat; } | sha256sum | cut -c1-12; }
