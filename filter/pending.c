#include <stdlib.h>

#include "pending.h"

static void
leave(struct pending_list *l, struct pending *p)
{
	*(p->prev != NULL ? &p->prev->next : &l->first) = p->next;
	*(p->next != NULL ? &p->next->prev : &l->last) = p->prev;
	p->prev = p->next = NULL;
}

struct pending *
pending_add(struct pending_list *l, struct session *s, long long now)
{
	struct pending *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->session = s;
	p->deadline = now + PENDING_MS;
	p->prev = l->last;
	*(l->last != NULL ? &l->last->next : &l->first) = p;
	l->last = p;
	s->waiting = p;
	return p;
}

void
pending_hurry(struct pending_list *l, struct pending *p)
{
	leave(l, p);
	p->deadline = 0;
	p->next = l->first;
	*(l->first != NULL ? &l->first->prev : &l->last) = p;
	l->first = p;
}

struct pending *
pending_due(const struct pending_list *l, long long now)
{
	return l->first != NULL && l->first->deadline <= now ? l->first : NULL;
}

void
pending_drop(struct pending_list *l, struct pending *p)
{
	if (p == NULL)
		return;
	leave(l, p);
	p->session->waiting = NULL;
	free(p);
}

long long
pending_left(const struct pending_list *l, long long now)
{
	if (l->first == NULL)
		return -1;
	return l->first->deadline > now ? l->first->deadline - now : 0;
}
