/*
 * Files that are read whole: certificates, keys, CRLs.  A file that is no file, or
 * is too large, is a sentence fragment in why, with what to do; nothing blocks.
 */
#ifndef TLSWARD_FILTER_WHOLE_FILE_H
#define TLSWARD_FILTER_WHOLE_FILE_H

#include <sys/stat.h>
#include <stdbool.h>
#include <stddef.h>

/* Opens a regular file of 1 to max octets, as *st has it; -1: it is none. */
int whole_file_open(const char *path, size_t max, struct stat *st, char *why, size_t whysize);

/* The st_size octets into the caller's buffer, and closes.  False: it cannot be, or has become shorter. */
bool whole_file_read(int fd, const struct stat *st, void *buf, char *why, size_t whysize);

#endif
