# Sourced by the scripts that need a Debian system in a folder; as root.

# make_debian_tree SUITE FOLDER [PACKAGE…]: from this machine's own mirror, whichever its apt is configured with.
make_debian_tree() {
  local suite=$1 folder=$2 mirror packages
  shift 2
  install_packages debootstrap
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | sed -n 1p)
  [[ -n $mirror ]] || { echo "apt's sources name no Debian mirror" >&2; return 1; }
  packages=$(IFS=,; echo "$*")
  rm -rf "$folder" && mkdir -p "$folder"
  if ! debootstrap --variant=minbase ${packages:+--include="$packages"} "$suite" "$folder" "$mirror" >"$folder.log" 2>&1; then
    tail -n 15 "$folder.log" >&2
    rm -rf "$folder"
    return 1
  fi
  rm -rf "$folder.log" "$folder"/var/cache/apt/archives/*.deb
}
