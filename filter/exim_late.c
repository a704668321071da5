/*
 * What the Exim module does without until something calls for it.
 *
 * Where the daemon has not preloaded, each connection loads the module: every
 * library that it names would be looked for, mapped and bound anew, every function
 * of libc's that it calls be looked up among those of Exim's forty libraries.  But
 * the parser is only for settings without a compiled form, and libidn2 for names
 * that are not ASCII.  So here are their functions by their own names, for the
 * module only, which have the work done by what is loaded then.
 *
 * What cannot be loaded is told once a process.  Settings cannot be read then,
 * and a name is doubtful (exim_state.h).
 */
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

#include <idn2.h>

#include "exim_state.h"
#include "read_calls.h"

#define IDN2 "libidn2.so.0"	/* whose header this is built with */

/* ---- the parser, of exim_tlsward_read.so ---- */

/* The daemon tries again as often as hold.c has it read: an upgrade may just be at work. */
static const struct read_calls *
parser(void)
{
	static const struct read_calls *calls;
	static pid_t said;
	char why[500];

	if (calls != NULL)
		return calls;
	calls = exim_object(READ_CALLS_FILE, READ_CALLS_SYMBOL, why, sizeof(why));
	if (calls == NULL && said != getpid()) {
		said = getpid();
		exim_say(why);
	}
	return calls;
}

struct settings *
settings_read(const char *path, bool warn, read_report *report, void *arg)
{
	const struct read_calls *calls = parser();

	if (calls != NULL)
		return calls->settings_read(path, warn, report, arg);
	report(arg, SEV_ERROR, path, 0, "cannot be read: " READ_CALLS_FILE
	    " beside the module cannot be loaded; see the log, and install it with the module");
	return NULL;
}

bool
compiled_save(const struct settings *s, const struct compiled *c)
{
	const struct read_calls *calls = parser();

	return calls != NULL && calls->compiled_save(s, c);
}

/* ---- libidn2 ---- */

struct late {
	void *function;			/* NULL: not found yet */
	pid_t tried;
};

/* Found, or NULL: it cannot be had, which is tried and told once a process. */
static void *
have(struct late *l, const char *function)
{
	char line[300];
	void *object;

	if (l->function != NULL || l->tried == getpid())
		return l->function;
	l->tried = getpid();
	if ((object = dlopen(IDN2, RTLD_NOW | RTLD_LOCAL)) != NULL)
		l->function = dlsym(object, function);
	if (l->function == NULL) {
		snprintf(line, sizeof(line), IDN2 " cannot be loaded: %s", dlerror());
		exim_say(line);
	}
	return l->function;
}

static struct late lookup, lookup_end;

int
idn2_lookup_u8(const uint8_t *src, uint8_t **lookupname, int flags)
{
	int (*f)(const uint8_t *, uint8_t **, int) = NULL;

	if (have(&lookup_end, "idn2_free") != NULL)
		*(void **)&f = have(&lookup, "idn2_lookup_u8");
	if (f != NULL)
		return f(src, lookupname, flags);
	exim_doubt(IDN2 " cannot be loaded");
	return IDN2_MALLOC;
}

void
idn2_free(void *ptr)
{
	void (*f)(void *);

	*(void **)&f = have(&lookup_end, "idn2_free");
	if (f != NULL)
		f(ptr);
}
