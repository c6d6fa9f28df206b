# Runs a job's scripts inside the sandbox: bash -c THIS trebuchet DIALECT SETUP RUN FACT...
# A fact is `name=value`. The scripts are written out as they came and sourced by login shells; nothing in them is
# edited. Whatever happens to those shells (exit, kill, a trap of the user's own), this outer shell lives to say
# how far they got, on marker lines that Trebuchet's own views of the log leave out.
dialect=$1 setup=$2 run=$3
shift 3
nonce='' sudo='' workdir='' setup_file='' run_file='' clone='' ref='' outputs='' limit='' grace=30 keep=() folders=()
for fact in "$@"; do
  case $fact in
    nonce=*) nonce=${fact#*=} ;;
    sudo=*) sudo=${fact#*=} ;;
    workdir=*) workdir=${fact#*=} ;;
    setup-file=*) setup_file=${fact#*=} ;; # where a script too long for an argument has arrived
    run-file=*) run_file=${fact#*=} ;;
    clone=*) clone=${fact#*=} ;; # a git repository whose contents the work dir gets
    ref=*) ref=${fact#*=} ;; # its branch, tag or commit
    outputs=*) outputs=${fact#*=} ;; # the folder that outlives the sandbox
    keep:*) keep+=("${fact#keep:}") ;; # what to copy there at the end
    folder:*) folders+=("${fact#folder:}") ;; # what stands for a volume without a name
    limit=*) limit=${fact#*=} ;; # seconds until the scripts are asked to make room for a successor
    grace=*) grace=${fact#*=} ;; # seconds they then have
    export:*) export "${fact#export:}" ;;
  esac
done
began=$EPOCHREALTIME # empty before bash 5
marker() { printf '[trebuchet:%s] %s\n' "$nonce" "$1" >&2; }
stop() { printf 'trebuchet: %s\n' "$1" >&2; marker "end=125 phase=start"; exit 125; }

export HOME=/root
# Folders, links and files in great number arrive in archives, in the order of their names.
unpack() {
  local pack
  for pack in "$HOME"/.trebuchet/packs/*.tar; do
    [ ! -e "$pack" ] || tar -xmf "$pack" -C / || return
  done
}
unpack || stop "what was uploaded cannot be unpacked"
mkdir -p "$HOME" "$workdir" "${folders[@]}" 2>/dev/null
cd "$workdir" || stop "the work dir $workdir cannot be entered"
room=$(mktemp -d /tmp/trebuchet.XXXXXXXX) && mkdir "$room/bin" || stop "there is no room in /tmp for the scripts"
write() { if [ -n "$3" ]; then cat -- "$3"; else printf '%s' "$2"; fi >"$room/$1"; }
{
  write setup "$setup" "$setup_file" && write run "$run" "$run_file" &&
    printf '%s' "$sudo" >"$room/bin/sudo" && chmod 755 "$room/bin/sudo" && printf '%s' "$PATH" >"$room/path"
} || stop "there is no room in /tmp for the scripts"
setup=${setup:-$setup_file} # from here on only asked whether there is one

fetch() {
  # A token, where there is one, goes from the environment to git alone: neither to argv nor to the repository.
  local helper='!f() { echo username=x-access-token; echo "password=$GIT_TOKEN"; }; f'
  GIT_TERMINAL_PROMPT=0 git ${GIT_TOKEN:+-c credential.helper="$helper"} clone --quiet -- "$clone" . >&2 || return
  [ -z "$ref" ] || git checkout --quiet "$ref" -- >&2
}
[ -z "$clone" ] || [ -e .git ] || fetch || stop "the work dir could not be cloned from $clone${ref:+ at $ref}"

# /etc/profile sets PATH anew. Put back what the image had, behind what the user's own profile added before it.
cat >"$room/enter" <<'ENTER'
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
case $dialect in
  oumi) # One shell for both, so that setup's exports, cd and activated environments reach run.
    {
      printf '. "${BASH_SOURCE[0]%%/*}/enter"\n'
      [ -z "$setup" ] || printf 'set -e\n. "${BASH_SOURCE[0]%%/*}/setup"\n'
      printf ': >"${BASH_SOURCE[0]%%/*}/entered-run"\n'
      printf "printf '[trebuchet:%s] phase=run\\\\n' >&2\n" "$nonce"
      printf '. "${BASH_SOURCE[0]%%/*}/run"\n'
    } >"$room/both"
    ;;
  *) # A shell each; setup's exit code decides.
    for script in setup run; do
      printf '. "${BASH_SOURCE[0]%%/*}/enter"\n. "${BASH_SOURCE[0]%%/*}/%s"\n' "$script" >"$room/only-$script"
    done
    ;;
esac

child='' signalled='' cut=''
forward() { signalled=$1; [ -z "$child" ] || kill -s "$1" -- "-$child" 2>/dev/null; }
trap 'forward TERM' TERM
trap 'forward INT' INT
trap 'forward HUP' HUP
trap 'cut=limit; forward TERM' USR1
trap 'forward KILL' USR2
timer=''
[ -z "$limit" ] || {
  self=$$
  set -m
  { sleep "$limit"; kill -s USR1 "$self"; sleep "$grace"; kill -s USR2 "$self"; } >/dev/null 2>&1 &
  timer=$!
  set +m
}
shell() {
  # A process group of its own, so that a signal reaches all that the scripts started in the foreground.
  set -m
  bash -l "$1" </dev/null &
  child=$!
  set +m
  while :; do
    signalled=''
    { wait "$child"; } 2>/dev/null # bash's own "Killed" is no output of the job
    code=$?
    [ -n "$signalled" ] || break
  done
  child=''
}

phase=run code=0
[ -z "$setup" ] || { phase=setup; marker 'phase=setup'; }
if [ "$dialect" = oumi ]; then
  shell "$room/both"
  [ ! -e "$room/entered-run" ] || phase=run
else
  [ -z "$setup" ] || shell "$room/only-setup"
  if [ "$code" = 0 ]; then
    phase=run
    marker 'phase=run'
    cd "$workdir" && shell "$room/only-run"
  fi
fi
[ -z "$timer" ] || kill -- "-$timer" 2>/dev/null
for path in "${keep[@]}"; do
  case $path in /*) ;; \~/*) path=$HOME/${path#\~/} ;; *) path=$workdir/$path ;; esac
  if [ -e "$path" ]; then
    cp -a -- "$path" "$outputs/" || printf 'trebuchet: %s could not be kept\n' "$path" >&2
  else
    printf 'trebuchet: %s is listed under outputs and is not there\n' "$path" >&2
  fi
done
marker "end=$code phase=$phase${cut:+ cut=$cut} began=$began"
rm -rf "$room"
exit "$code"
