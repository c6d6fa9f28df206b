#!/bin/bash
# Stands in for sudo where everything runs as root already: drops sudo's own options and runs the rest.
user='' shell='' background='' directory=''
while [ $# -gt 0 ]; do
  case $1 in
    --) shift; break ;;
    --user=*) user=${1#*=} ;;
    --chdir=*) directory=${1#*=} ;;
    --user | --other-user) user=$2; shift ;;
    --chdir) directory=$2; shift ;;
    --close-from | --group | --host | --prompt | --chroot | --role | --type | --command-timeout) shift ;;
    --login) shell=login ;;
    --shell) shell=plain ;;
    --background) background=yes ;;
    --validate | --remove-timestamp) exit 0 ;;
    --reset-timestamp) [ $# -gt 1 ] || exit 0 ;;
    --list) echo 'root may run everything here'; exit 0 ;;
    --version | --help) echo "this sudo drops its own options and runs the rest: all here runs as root"; exit 0 ;;
    --*) ;;
    -?*)
      flags=${1#-}
      while [ -n "$flags" ]; do
        flag=${flags%"${flags#?}"} flags=${flags#?}
        case $flag in
          [CDghpRrTtUu])
            if [ -n "$flags" ]; then value=$flags flags=''; else value=$2; shift; fi
            case $flag in u) user=$value ;; D) directory=$value ;; esac
            ;;
          i) shell=login ;;
          s) shell=plain ;;
          b) background=yes ;;
          v | K) exit 0 ;;
          k) [ $# -gt 1 ] || exit 0 ;;
          l) echo 'root may run everything here'; exit 0 ;;
          V) echo "this sudo drops its own options and runs the rest: all here runs as root"; exit 0 ;;
        esac
      done
      ;;
    *) break ;;
  esac
  shift
done
while [ $# -gt 0 ]; do
  case $1 in
    [A-Za-z_]*=*) name=${1%%=*}; case $name in *[!A-Za-z0-9_]*) break ;; esac; export "$1"; shift ;;
    *) break ;;
  esac
done
[ -z "$directory" ] || cd -- "$directory" || exit 1
case $shell in
  login) if [ $# -gt 0 ]; then set -- bash -l -c '"$0" "$@"' "$@"; else set -- bash -l; fi ;;
  plain) if [ $# -gt 0 ]; then set -- bash -c '"$0" "$@"' "$@"; else set -- bash; fi ;;
esac
[ $# -gt 0 ] || { echo 'usage: sudo [options] command' >&2; exit 1; }
case $user in '' | root | '#0') ;; *) set -- runuser -u "$user" -- "$@" ;; esac
if [ -n "$background" ]; then "$@" & exit 0; fi
exec "$@"
