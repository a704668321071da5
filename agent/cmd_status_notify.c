/*
 * The part of tlsward status about the notifications that are switched off.
 */
#include <stdlib.h>

#include "cmd.h"
#include "cmd_json.h"
#include "cmd_status.h"

void
put_notify(const struct settings *s)
{
	const struct rule *r = s == NULL ? NULL : settings_find(s, SEC_AGENT, "");
	char *kinds;

	if (s != NULL && settings_value(r, KEY_NOTIFY) == 0)
		put_out("\nThe agent sends no notifications: notify is no\n");
	else if (rule_sets(r, KEY_NOTIFY_EXCEPT) &&
	    (kinds = setting_text(s, r, KEY_NOTIFY_EXCEPT)) != NULL) {
		put_out("\n");
		put_folded(put_out("Notifications that the agent does not send: "), 4, kinds);
		free(kinds);
	}
}

void
json_notify(struct json *j, const struct settings *s)
{
	const struct rule *r = s == NULL ? NULL : settings_find(s, SEC_AGENT, "");
	struct list list = { NULL, 0, NULL };
	uint32_t kind;
	char buf[16];

	if (s != NULL)
		list = settings_list(s, r, KEY_NOTIFY_EXCEPT);
	json_bool(j, "notify", settings_value(r, KEY_NOTIFY) != 0);
	json_array(j, "notify_except");
	while (list_next_number(&list, &kind))
		json_string(j, NULL, key_text(KEY_NOTIFY_EXCEPT, kind, buf));
	json_close(j);
}
