# Runs a job's scripts inside the sandbox: bash -c THIS trebuchet DIALECT SETUP RUN FACT...
# A fact is `name=value`. The scripts are written out as they came and sourced by login shells; nothing in them is
# edited. Whatever happens to those shells (exit, kill, a trap of the user's own), this outer shell lives to say
# how far they got, on marker lines that Trebuchet's own views of the log leave out.
# All names here begin with `_tb_`: a variable of the user's that had one of them would reach the scripts changed.
_tb_dialect=$1 _tb_setup=$2 _tb_run=$3
shift 3
_tb_nonce='' _tb_sudo='' _tb_workdir='' _tb_setup_file='' _tb_run_file='' _tb_clone='' _tb_ref='' _tb_outputs='' _tb_limit='' _tb_grace=30 _tb_keep=() _tb_folders=() _tb_mounts=: _tb_home=''
for _tb_fact in "$@"; do
  case $_tb_fact in
    nonce=*) _tb_nonce=${_tb_fact#*=} ;;
    sudo=*) _tb_sudo=${_tb_fact#*=} ;;
    workdir=*) _tb_workdir=${_tb_fact#*=} ;;
    setup-file=*) _tb_setup_file=${_tb_fact#*=} ;; # where a script too long for an argument has arrived
    run-file=*) _tb_run_file=${_tb_fact#*=} ;;
    clone=*) _tb_clone=${_tb_fact#*=} ;; # a git repository whose contents the work dir gets
    ref=*) _tb_ref=${_tb_fact#*=} ;; # its branch, tag or commit
    outputs=*) _tb_outputs=${_tb_fact#*=} ;; # the folder that outlives the sandbox
    keep:*) _tb_keep+=("${_tb_fact#keep:}") ;; # what to copy there at the end
    folder:*) _tb_folders+=("${_tb_fact#folder:}") ;; # what stands for a volume without a name
    mounted:*) _tb_mounts+=${_tb_fact#mounted:}: ;; # where a volume or a bucket is
    home=own) _tb_home=$HOME ;; # the user's own variable, for the scripts alone
    limit=*) _tb_limit=${_tb_fact#*=} ;; # seconds until the scripts are asked to make room for a successor
    grace=*) _tb_grace=${_tb_fact#*=} ;; # seconds they then have
    export:*) export "${_tb_fact#export:}" ;;
  esac
done
_tb_began=$EPOCHREALTIME # empty before bash 5
marker() { printf '[trebuchet:%s] %s\n' "$_tb_nonce" "$1" >&2; }
stop() { printf 'trebuchet: %s\n' "$1" >&2; marker "end=125 phase=start"; exit 125; }

export HOME=/root
: "${_tb_home:=$HOME}"
# Folders, links and files in great number arrive in archives, in the order of their names.
unpack() {
  local pack
  for pack in "$HOME"/.trebuchet/packs/*.tar; do
    [ ! -e "$pack" ] || tar -xmf "$pack" -C / || return
  done
}
unpack || stop "what was uploaded cannot be unpacked"
mkdir -p "$HOME" "$_tb_workdir" "${_tb_folders[@]}" 2>/dev/null
cd "$_tb_workdir" || stop "the work dir $_tb_workdir cannot be entered"
# Not in /tmp, which scripts clean out.
_tb_room=$(mkdir -p "$HOME/.trebuchet" && mktemp -d "$HOME/.trebuchet/job.XXXXXXXX") && mkdir "$_tb_room/bin" ||
  stop "there is no room in $HOME for the scripts"
write() { if [ -n "$3" ]; then cat -- "$3"; else printf '%s' "$2"; fi >"$_tb_room/$1"; }
{
  write setup "$_tb_setup" "$_tb_setup_file" && write run "$_tb_run" "$_tb_run_file" &&
    printf '%s' "$_tb_sudo" >"$_tb_room/bin/sudo" && chmod 755 "$_tb_room/bin/sudo" && printf '%s' "$PATH" >"$_tb_room/path"
} || stop "there is no room in $HOME for the scripts"
_tb_setup=${_tb_setup:-$_tb_setup_file} # from here on only asked whether there is one

fetch() {
  # A token, where there is one, goes from the environment to git alone: neither to argv nor to the repository.
  local helper='!f() { echo username=x-access-token; echo "password=$GIT_TOKEN"; }; f' from=$_tb_room/clone
  GIT_TERMINAL_PROMPT=0 git ${GIT_TOKEN:+-c credential.helper="$helper"} clone --quiet -- "$_tb_clone" "$from" >&2 || return
  [ -z "$_tb_ref" ] || git -C "$from" checkout --quiet "$_tb_ref" -- >&2 || return
  settle "$from" "$_tb_workdir" && rm -rf "$from"
}
settle() { # What was mounted or uploaded into the work dir stays as it is; the rest of the clone comes around it.
  local entry target
  for entry in "$1"/* "$1"/.[!.]* "$1"/..?*; do
    target=$2/${entry##*/}
    if [ ! -e "$entry" ] && [ ! -L "$entry" ]; then
      continue # a pattern that nothing fits
    elif [ ! -e "$target" ] && [ ! -L "$target" ]; then
      mv -- "$entry" "$target" || return
    elif [ -d "$entry" ] && [ ! -L "$entry" ] && [ -d "$target" ] && [[ $_tb_mounts != *:"$target":* ]]; then
      settle "$entry" "$target" || return
    fi
  done
}
[ -z "$_tb_clone" ] || [ -e .git ] || fetch || stop "the work dir could not be cloned from $_tb_clone${_tb_ref:+ at $_tb_ref}"

# /etc/profile sets PATH anew. Put back what the image had, behind what the user's own profile added before it.
cat >"$_tb_room/enter" <<'ENTER'
trebuchet_path() {
  local image entry first='' last='' usual=:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/games:/usr/games:
  image=$(<"$1/path")
  local IFS=:
  for entry in $PATH; do
    case :$image: in *:"$entry":*) continue ;; esac
    case $usual in *:"$entry":*) last=$last:$entry ;; *) first=$first$entry: ;; esac
  done
  PATH=$1/bin:$first$image$last
}
trebuchet_path "${BASH_SOURCE[0]%/*}"
unset -f trebuchet_path
ENTER
# Of SkyPilot's each has a shell of its own, and setup's exit code decides. Oumi's have one, so that setup's exports,
# cd and activated environments reach run, and it fails fast where there is a setup.
_tb_strict=''
[ "$_tb_dialect" != oumi ] || [ -z "$_tb_setup" ] || _tb_strict='set -e'
for _tb_script in setup run; do
  printf '. "${BASH_SOURCE[0]%%/*}/enter"\n%s\n. "${BASH_SOURCE[0]%%/*}/%s"\n' "$_tb_strict" "$_tb_script" \
    >"$_tb_room/only-$_tb_script"
done
{
  cat "$_tb_room/only-setup"
  printf ': >"${BASH_SOURCE[0]%%/*}/entered-run"\n'
  printf "printf '[trebuchet:%s] phase=run\\\\n' >&2\n" "$_tb_nonce"
  printf '. "${BASH_SOURCE[0]%%/*}/run"\n'
} >"$_tb_room/both"

_tb_child='' _tb_signalled='' _tb_asked='' _tb_cut=''
forward() { _tb_signalled=$1 _tb_asked=$1; [ -z "$_tb_child" ] || kill -s "$1" -- "-$_tb_child" 2>/dev/null; }
trap 'forward TERM' TERM
trap 'forward INT' INT
trap 'forward HUP' HUP
trap '_tb_cut=limit; forward TERM' USR1
trap 'forward KILL' USR2
_tb_timer=''
[ -z "$_tb_limit" ] || {
  _tb_self=$$
  set -m
  { sleep "$_tb_limit"; kill -s USR1 "$_tb_self"; sleep "$_tb_grace"; kill -s USR2 "$_tb_self"; } >/dev/null 2>&1 &
  _tb_timer=$!
  set +m
}
shell() {
  # A process group of its own, so that a signal reaches all that the scripts started in the foreground.
  set -m
  HOME=$_tb_home bash -l "$1" </dev/null &
  _tb_child=$!
  set +m
  while :; do
    _tb_signalled=''
    { wait "$_tb_child"; } 2>/dev/null # bash's own "Killed" is no output of the job
    _tb_code=$?
    [ -n "$_tb_signalled" ] || break
  done
  _tb_child=''
}

_tb_phase=run _tb_code=0
[ -z "$_tb_setup" ] || { _tb_phase=setup; marker 'phase=setup'; }
run_alone() { # unless all was asked to end meanwhile
  [ -z "$_tb_asked" ] || return
  _tb_phase=run
  marker 'phase=run'
  cd "$_tb_workdir" && shell "$_tb_room/only-run"
}
if [ "$_tb_dialect" = oumi ]; then
  shell "$_tb_room/both"
  if [ -e "$_tb_room/entered-run" ]; then
    _tb_phase=run
  elif [ "$_tb_code" = 0 ]; then # setup said `exit 0`: that it is done, not that the job is
    run_alone
  fi
else
  [ -z "$_tb_setup" ] || shell "$_tb_room/only-setup"
  [ "$_tb_code" != 0 ] || run_alone
fi
[ -z "$_tb_timer" ] || kill -- "-$_tb_timer" 2>/dev/null
for _tb_path in "${_tb_keep[@]}"; do
  case $_tb_path in /*) ;; \~/*) _tb_path=$HOME/${_tb_path#\~/} ;; *) _tb_path=$_tb_workdir/$_tb_path ;; esac
  if [ -e "$_tb_path" ]; then # -H: of a link what it leads to is wanted
    cp -aH -- "$_tb_path" "$_tb_outputs/" || printf 'trebuchet: %s could not be kept\n' "$_tb_path" >&2
  else
    printf 'trebuchet: %s is listed under outputs and is not there\n' "$_tb_path" >&2
  fi
done
marker "end=$_tb_code phase=$_tb_phase${_tb_cut:+ cut=$_tb_cut} began=$_tb_began"
rm -rf "$_tb_room"
exit "$_tb_code"
