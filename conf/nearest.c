#include <ctype.h>
#include <string.h>

#include "nearest.h"

#define WORD_MAX 24

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Optimal string alignment distance; three rows of the usual table are kept. */
static size_t
distance(const char *a, size_t alen, const char *b, size_t blen)
{
	size_t row[3][WORD_MAX + 1], *two = row[0], *one = row[1], *now = row[2], *spare, i, j;
	int ca, cb;

	for (j = 0; j <= blen; j++)
		one[j] = two[j] = j;
	for (i = 1; i <= alen; i++) {
		now[0] = i;
		for (j = 1; j <= blen; j++) {
			ca = tolower((unsigned char)a[i - 1]);
			cb = tolower((unsigned char)b[j - 1]);
			now[j] = least(least(one[j], now[j - 1]) + 1, one[j - 1] + (ca != cb));
			if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) &&
			    cb == tolower((unsigned char)a[i - 2]))
				now[j] = least(now[j], two[j - 2] + 1);
		}
		spare = two;
		two = one;
		one = now;
		now = spare;
	}
	return one[blen];
}

const char *
nearest(const char *word, size_t len, const char *const *words, size_t n)
{
	const char *found = NULL;
	size_t best = 0, d, wlen;

	if (len == 0 || len > WORD_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (words[i] == NULL || (wlen = strlen(words[i])) > WORD_MAX)
			continue;
		d = distance(word, len, words[i], wlen);
		if (d * 3 <= (len > wlen ? len : wlen) && (found == NULL || d < best)) {
			found = words[i];
			best = d;
		}
	}
	return found;
}
