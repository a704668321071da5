/*
 * The libraries that the Exim module does without until something calls for them.
 *
 * Where the daemon has not preloaded, each connection loads the module, and each
 * library that it names would be looked for, mapped and bound anew.  But libinih
 * is only for settings without a compiled form, and libidn2 for names that are
 * not ASCII.  So here are their functions by their own names, for the module only,
 * which have the library do the work once there is some.
 *
 * What cannot be loaded is told once a process.  Settings cannot be read then,
 * and a name is doubtful (exim_state.h).
 */
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

#include <idn2.h>
#include <ini.h>

#include "exim_state.h"

/* Those whose headers this is built with. */
#define INIH "libinih.so.1"
#define IDN2 "libidn2.so.0"

struct late {
	void *function;			/* NULL: not found yet */
	pid_t tried;
};
static struct late parse, lookup, lookup_end;

/* Found, or NULL: it cannot be had, which is tried and told once a process. */
static void *
have(struct late *l, const char *library, const char *function)
{
	char line[300];
	void *object;

	if (l->function != NULL || l->tried == getpid())
		return l->function;
	l->tried = getpid();
	if ((object = dlopen(library, RTLD_NOW | RTLD_LOCAL)) != NULL)
		l->function = dlsym(object, function);
	if (l->function == NULL) {
		snprintf(line, sizeof(line), "%s cannot be loaded: %s", library, dlerror());
		exim_say(line);
	}
	return l->function;
}

int
ini_parse_stream(ini_reader reader, void *stream, ini_handler handler, void *user)
{
	int (*f)(ini_reader, void *, ini_handler, void *);

	*(void **)&f = have(&parse, INIH, "ini_parse_stream");
	return f != NULL ? f(reader, stream, handler, user) : -1;
}

int
idn2_lookup_u8(const uint8_t *src, uint8_t **lookupname, int flags)
{
	int (*f)(const uint8_t *, uint8_t **, int) = NULL;

	if (have(&lookup_end, IDN2, "idn2_free") != NULL)
		*(void **)&f = have(&lookup, IDN2, "idn2_lookup_u8");
	if (f != NULL)
		return f(src, lookupname, flags);
	exim_doubt(IDN2 " cannot be loaded");
	return IDN2_MALLOC;
}

void
idn2_free(void *ptr)
{
	void (*f)(void *);

	*(void **)&f = have(&lookup_end, IDN2, "idn2_free");
	if (f != NULL)
		f(ptr);
}
