/*
 * The part of tlsward status about what the listeners show: the agent's last
 * round of probes.
 */
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "cmd_json.h"
#include "cmd_status.h"
#include "probe_file.h"

static size_t
read_probes(const char *state_dir, struct probe_seen **seen)
{
	char path[4096];

	*seen = NULL;
	if ((size_t)snprintf(path, sizeof(path), "%s/agent/probe", state_dir) >= sizeof(path))
		return 0;
	return probe_file_read(path, seen);
}

void
put_probes(const char *state_dir)
{
	struct probe_seen *seen;
	size_t n = read_probes(state_dir, &seen);
	char when[32];

	if (n > 0)
		put_out("\nWhat the listeners showed at %s\n",
		    status_date((uint64_t)seen[n - 1].time, STATUS_WHEN, when));
	for (size_t i = 0; i < n; i++) {
		size_t at = put_out("  %s%s%s: ", seen[i].listener, seen[i].sni[0] == '\0' ? "" :
		    ", asked for ", seen[i].sni);

		if (seen[i].state == PROBE_FINE)
			printf("as the settings say\n");
		else
			put_folded(at, 4, seen[i].text);
	}
	free(seen);
}

void
json_probes(struct json *j, const char *state_dir)
{
	struct probe_seen *seen;
	size_t n = read_probes(state_dir, &seen);

	json_array(j, "probes");
	for (size_t i = 0; i < n; i++) {
		json_object(j, NULL);
		json_string(j, "listener", seen[i].listener);
		json_string(j, "sni", seen[i].sni[0] != '\0' ? seen[i].sni : NULL);
		json_string(j, "certificate", seen[i].certificate[0] != '\0' ?
		    seen[i].certificate : NULL);
		json_number(j, "time", (uint64_t)seen[i].time);
		json_bool(j, "fine", seen[i].state == PROBE_FINE);
		json_string(j, "what", seen[i].state == PROBE_FINE ? NULL : seen[i].text);
		json_close(j);
	}
	json_close(j);
	free(seen);
}
