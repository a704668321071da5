/* The switches of the kinds of notifications: see alarm_int.h. */
#include "alarm_int.h"

static void
unsaid(void *arg, const struct event *e)
{
	memory_unsaid(arg, e);
}

void
switch_look(struct alarms *a)
{
	uint32_t off = alarm_kinds_off(alarms_settings(a));

	queue_mute(&a->queue, off, a->asked, unsaid, &a->memory);
	memory_switched_on(&a->memory, ~off);
}
