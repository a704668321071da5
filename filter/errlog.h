/*
 * The log of a filter: lines on standard error, which smtpd puts into its own
 * log with the filter's name before them.
 *
 * Writing never blocks where standard error is a socket, as under smtpd.  What it
 * does not take waits in a buffer, never half a line; a line that finds no room there
 * is dropped, counted, and the count told with the next line that does.  One thread.
 */
#ifndef TLSWARD_FILTER_ERRLOG_H
#define TLSWARD_FILTER_ERRLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <syslog.h>		/* the levels */

#define ERRLOG_LINE 2048	/* longer ones are cut */

void errlog_open(bool verbose);			/* verbose: LOG_DEBUG lines too */
bool errlog_wants(int level);			/* would a line of that level be written? */
void errlog_line(int level, const char *line);	/* without newline; a hold_log (conf/hold.h) */
/* From now on lines wait for errlog_flush, so that those of a turn of the loop go in one piece. */
void errlog_batch(void);
void errlog_flush(void);			/* writes what it can */
void errlog(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* At most so many lines a minute about the same kind of trouble. */
#define ERRLOG_RATE 10
struct errlog_rate {
	const char *what;	/* of its lines: "malformed lines from smtpd" */
	long long minute;
	unsigned told, held_back;
};
bool errlog_may(struct errlog_rate *);		/* may one more line be written? */
/* Tells how many were held back, once their minute is over; call it now and then. */
void errlog_settle(struct errlog_rate *);

/* Text from outside for a log line: anything but printable ASCII as \xHH, cut to size. */
const char *errlog_quote(const char *text, size_t len, char *buf, size_t size);

#endif
