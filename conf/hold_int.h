/*
 * What hold.c and hold_thread.c share.  Without the latter, for who never calls
 * hold_refresh_soon or hold_leave, nothing here has to do with threads.
 */
#ifndef TLSWARD_CONF_HOLD_INT_H
#define TLSWARD_CONF_HOLD_INT_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "hold.h"

#define LOGGED_MAX 20		/* errors of one file that go to the log */

struct held {
	unsigned refs;
	unsigned load;		/* the how many-th */
	size_t *kept;		/* the hold's */
	struct settings *settings;
};

/* One attempt to read the file, and what the reader said. */
struct attempt {
	struct file_id id;	/* of the file before it was read */
	struct settings *fresh;	/* NULL: there were errors */
	bool saved;		/* there is a compiled form */
	unsigned errors;
	unsigned line;		/* of the first error */
	char *report[LOGGED_MAX];
};
/* Begins one; false: nothing calls for it. */
bool attempt_begin(struct hold *, struct attempt *);
void attempt_read(struct attempt *, const char *path, const struct compiled *form);
/* What came of it takes effect.  Ends the attempt. */
bool attempt_end(struct hold *, struct attempt *, hold_log *);
void attempt_free(struct attempt *);

struct hold_job {
	void (*end)(struct hold_job *);	/* waits for its end and frees it */
	struct held *held;	/* whose compiled form is to be made; NULL: to be read */
	struct attempt attempt;
	struct compiled form;
	char *path;
	pthread_t thread;
	int fd;			/* eventfd(2): readable at the end */
	atomic_bool done;
};

int64_t hold_ms(clockid_t);

#endif
