#include <stddef.h>

#include "append.h"

char *
append(char *o, const char *end, const char *text)
{
	if (o == NULL)
		return NULL;
	for (; o < end; o++, text++)
		if ((*o = *text) == '\0')
			return o;
	return NULL;
}

char *
append_number(char *o, const char *end, uint64_t n)
{
	char digits[24], *d = digits + sizeof(digits) - 1;

	*d = '\0';
	do
		*--d = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	return append(o, end, d);
}
