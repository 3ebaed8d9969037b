# Written by chatmail; changes here are overwritten.
# What the scripts of a relay's services share. Of a role of chatmail they set:
#   role                 its arguments
#   user, groups         as whom it runs, with which groups
#   address, owner       where it listens, and who may connect there
#   run_dir              the user's directory in /run, where its figures are
# of another service:
#   command              and its arguments, not in the background
#   ready                a file that is there when it answers
#   first                what a shell does before it becomes the command
#   leftovers            the name of its processes that outlive it and keep its
#                        ports; what a killed one has left is ended first
# and of any:
#   open_files           how many it may have open, or as many as are allowed
#   score, nice          of the kernel's choice when memory runs out; of the CPU
#   prepare()            is done before it starts
# supervise-daemon starts again what dies, for ever, as mail waits for it. Of a
# role it starts "chatmail hold", which keeps the socket open while the role is
# started again.

supervisor=supervise-daemon
pidfile="/run/supervise-$RC_SVCNAME.pid"
: "${respawn_delay:=1}"
respawn_max=0
# work that is open is finished in five seconds
: "${retry:=TERM/20/KILL/5}"
extra_started_commands="reload"
description_reload="Read the configuration again"
supervise_daemon_args="${nice:+--nicelevel $nice}"
note="/run/chatmail-hold/$RC_SVCNAME"

if [ -n "$role" ]; then
	command="{{ chatmail_bin }}"
	command_args="hold $RC_SVCNAME $user $groups $address $owner $role"
	open_files=524288
	# its log goes to syslog under this name
	export CHATMAIL_SYSLOG="$RC_SVCNAME"
	export CHATMAIL_BIN="$command"
	[ -z "$run_dir" ] || export RUNTIME_DIRECTORY="$run_dir"
fi

# What each start begins with, also those after its death.
if [ -n "$leftovers" ]; then
	# it has a session of its own, whose number is noted
	session="/run/$RC_SVCNAME.session"
	first="pkill -KILL -x -s \$(cat $session 2>/dev/null || echo 0) $leftovers; echo \$\$ >$session"
fi
if [ -n "$first" ]; then
	command_args="-c '$first; exec $command $command_args'"
	command=/bin/sh
fi

# stop_other NAME FILE...: what the package's own script, in whose place ours is,
# has started: the process of that name whose pid is in one of the files.
stop_other() {
	local name="$1" file pid comm i

	shift
	for file; do
		pid= comm= i=0
		[ ! -e "$file" ] || read -r pid <"$file"
		[ -z "$pid" ] || read -r comm 2>/dev/null <"/proc/$pid/comm"
		[ "$comm" = "$name" ] || continue
		kill "$pid"
		while [ -e "/proc/$pid" ] && [ $i -lt 150 ]; do
			sleep 0.1
			i=$((i + 1))
		done
	done
}

# Limits are inherited by what is started from here. A container may not give
# more than it has.
start_pre() {
	if [ -n "$open_files" ]; then
		ulimit -n "$open_files" 2>/dev/null ||
			ulimit -n "$(ulimit -H -n)"
	fi
	if [ -n "$score" ]; then
		echo "$score" >/proc/self/oom_score_adj 2>/dev/null
	fi
	checkpath --directory --mode 0755 "${note%/*}"
	if [ -n "$run_dir" ]; then
		checkpath --directory --mode 0755 \
			--owner "$user:${groups%%,*}" "$run_dir" || return 1
	fi
	case "$address" in
	"${run_dir:-none}"/*|"{{ postfix_queue_dir }}"/*) ;;
	/*) checkpath --directory --mode 0755 "${address%/*}" || return 1 ;;
	esac
	if [ "$(command -v prepare)" = prepare ]; then
		prepare || return 1
	fi
	[ -z "$ready" ] || rm -f "$ready"
}

is_ready() {
	local pid restarts is holder

	if [ -z "$role" ]; then
		[ -e "$ready" ]
	else
		[ -e "$note" ] && read -r pid restarts is holder <"$note" &&
			[ "$is" = 1 ]
	fi
}

# Others may rely on it from here on. One that does not answer yet is tried on.
start_post() {
	local i=0

	[ -n "$ready$role" ] || return 0
	[ -z "$role" ] || cksum "$RC_SERVICE" {{ openrc_common }} >"$note.scripts"
	while ! is_ready && [ $i -lt 100 ]; do
		sleep 0.1
		i=$((i + 1))
	done
	if is_ready; then
		service_set_value ready yes
	else
		service_set_value ready no
		ewarn "$RC_SVCNAME does not answer yet; it is tried again"
	fi
}

# The process that holds the socket; 1 when there is none, or when the script is
# another than it was started with.
holder() {
	local pid restarts is holder

	[ -n "$role" ] && [ -e "$note" ] &&
		read -r pid restarts is holder <"$note" &&
		[ -e "/proc/$holder" ] &&
		[ "$(cksum "$RC_SERVICE" {{ openrc_common }})" = \
			"$(cat "$note.scripts" 2>/dev/null)" ] &&
		echo "$holder"
}

# At a restart the socket is kept, so that nobody is turned away.
stop() {
	if [ "$RC_CMD" = restart ] && holder >/dev/null; then
		return 0
	fi
	default_stop && rm -f "$note.scripts"
}

start() {
	local pid old new i=0

	if [ "$RC_CMD" != restart ] || ! pid="$(holder)"; then
		default_start
		return
	fi
	ebegin "Restarting $RC_SVCNAME, whose socket is kept"
	read -r old _ <"$note"
	kill -USR2 "$pid"
	new="$old"
	while [ "$new" = "$old" ] && [ $i -lt 250 ]; do
		sleep 0.1
		i=$((i + 1))
		read -r new _ 2>/dev/null <"$note" || new="$old"
	done
	eend 0
}

reload() {
	local pid

	ebegin "Reloading $RC_SVCNAME"
	pid="$(holder)" || pid="$(service_get_value child_pid)"
	kill -HUP "$pid"
	eend $?
}
