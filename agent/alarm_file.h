/*
 * A file of the agent's that is replaced as a whole: written beside its place,
 * then renamed, so that a reader, and whoever comes after a crash, finds the
 * old one or the new.
 */
#ifndef TLSWARD_AGENT_ALARM_FILE_H
#define TLSWARD_AGENT_ALARM_FILE_H

#include <stdbool.h>
#include <stdio.h>

struct alarm_file {
	FILE *to;		/* write here */
	const char *path;	/* the caller's */
	char temp[4096];
};

bool alarm_file_open(struct alarm_file *, const char *path);	/* false: errno says why */
/* False: something could not be written; the old file stays. */
bool alarm_file_close(struct alarm_file *);

#endif
