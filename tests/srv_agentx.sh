#!/bin/bash
# The agent without snmpd: a master that does what snmpd seldom does, and what the
# agent must bear from whoever starts it and from its settings.
. "$(dirname "$0")/lib.sh"
need_cmd python3
need_built tlsward-agent tlsward
AS=()
[ "$(id -u)" -ne 0 ] || AS=(-u $AGENT_USER)
make_state
settings() { # [LINES]
	write_ini <<-END
	[server]
	mode = ${MODE:-offer}
	state_dir = ${DIR:-$STATE}
	[agent]
	probe_interval = 0
	notify_rate = 1000
	${1:-}
	END
}
agent() { start agent "$AGENT" -c "$INI" -x "$AGENTX" "${AS[@]}" && await_log 10 agent 'settings are in force'; }
children() { pgrep -g "${PIDS[agent]}" | grep -vx "${PIDS[agent]}"; }
settings

# ---- what acknowledges a notification ----
start master python3 "$TOP/tests/agentx_master.py" "$AGENTX"
wait_for 10 test -S "$AGENTX"
check "the agent starts" agent
check "it connects" await_log 10 agent 'connected to snmpd'
"$TLSWARD" -c "$INI" set server mode none >/dev/null
check "a master that goes before it answers is told again, whatever else it said" \
    wait_for 30 grep -qx '2 1' "$T/master.log"
"$TLSWARD" -c "$INI" set server mode offer >/dev/null
check "an answer that comes once more is none to the next" wait_for 30 grep -qx '3 2' "$T/master.log"
"$TLSWARD" -c "$INI" set server mode none >/dev/null
check "the one after comes" wait_for 30 grep -qx '3 3' "$T/master.log"
is "each once on a link, until it is answered" "$(xargs <"$T/master.log")" "1 1 2 1 2 2 3 2 3 3"
stop agent
stop master
rm -f "$AGENTX"

# ---- much at once ----
MODE=none settings
: >"$T/agent.log"
check "the agent starts again" agent
MODE=none settings "$(for i in {1..60}; do printf '[domain d%d.example]\nmode = none\n' $i; done)"
check "60 modes of one change" await_log 10 agent 'and 40 modes more by the same change'
is "are 20 lines and one" "$(log_of agent | grep -c '\[domain d[0-9]*\.example\]')" 20

# ---- another place, which is not to be had ----
mkdir -p "$T/other/agent"
chown $AGENT_USER: "$T/other/agent" 2>/dev/null
chmod 0755 "$T/other"
exec 9>>"$T/other/agent/pid"
chmod 0666 "$T/other/agent/pid"
flock 9
DIR=$T/other MODE=none settings
check "another agent at the new state_dir: it stays where it is" await_log 10 agent 'stays where it was until that one has ended'
MODE=offer DIR=$T/other settings
check "and goes on" await_log 10 agent '\[server\] mode: none -> offer'
sleep 2
is "which is said once" "$(log_of agent | grep -c 'stays where it was')" 1
flock -u 9
check "it moves when that one has ended" await_log 10 agent 'starting anew there'
check "and is at work there" wait_for 10 test -S "$T/other/agent/changes"
check "it runs" running agent
MODE=offer settings
check "and comes back" wait_for 10 eval '[ "$(log_of agent | grep -c "starting anew there")" = 2 ] && running agent'
wait_for 10 eval '[ -n "$(children)" ]'

# ---- a folder that takes no files ----
if [ "$(id -u)" -eq 0 ]; then
	chown root: "$STATE/agent"
	: >"$T/agent.log"
	MODE=none settings
	check "a folder that takes no files is told of" await_log 10 agent "$STATE/agent cannot be written"
	sleep 4
	is "once" "$(log_of agent | grep -c "$STATE/agent cannot be written")" 1
	chown $AGENT_USER: "$STATE/agent"
	check "and used when it does" wait_for 10 grep -qx 'mode = none' "$STATE/agent/seen"
else
	skip "a folder that takes no files" "needs root"
fi

# ---- started with the end of children ignored ----
stop agent
: >"$T/agent.log"
ignoring='import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.execv(sys.argv[1], sys.argv[1:])'
start agent python3 -c "$ignoring" "$AGENT" -c "$INI" -x "$AGENTX" "${AS[@]}"
check "it starts where the end of children is ignored" await_log 10 agent 'settings are in force'
wait_for 10 eval '[ -n "$(children)" ]'
kill -KILL $(children)
check "its child comes again" await_log 10 agent 'was ended by signal 9'
wait_for 10 eval '[ -n "$(children)" ]'
check "and it ends" stop agent
done_testing
