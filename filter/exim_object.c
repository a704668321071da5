#include <dlfcn.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "exim_object.h"

static const struct object_make ours = OBJECT_MAKE;

static bool
fits(const struct object_make *m)
{
	return strcmp(m->version, ours.version) == 0 && m->facts_size == ours.facts_size &&
	    m->rule_size == ours.rule_size && m->layout == ours.layout;
}

const void *
exim_object(const char *file, const char *symbol, char *why, size_t whysize)
{
	char path[PATH_MAX];
	const char *slash;
	const void *table;
	Dl_info self;
	void *object;

	if (dladdr(&ours, &self) == 0 || self.dli_fname == NULL ||
	    (slash = strrchr(self.dli_fname, '/')) == NULL ||
	    (size_t)snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - self.dli_fname),
	    self.dli_fname, file) >= sizeof(path)) {
		snprintf(why, whysize, "%s: the module's own folder is not known", file);
		return NULL;
	}
	if ((object = dlopen(path, RTLD_NOW | RTLD_LOCAL)) == NULL) {
		snprintf(why, whysize, "%s: %s", path, dlerror());
		return NULL;
	}
	if ((table = dlsym(object, symbol)) != NULL && fits(table))
		return table;
	snprintf(why, whysize, "%s: is of another version; install both and restart Exim", path);
	dlclose(object);
	return NULL;
}
