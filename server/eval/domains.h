/*
 * domains: large lists of domain names in files, one table each in memory that all processes share. A list is built once (in the
 * master, before it forks) and built anew beside the old table by a thread of the manager when its file changes; who looks names up sees
 * the one or the other, and waits for nothing. A file that cannot be used leaves the old table in place.
 *
 * A line:  example.com, .example.com   the name and all below it          *.example.com   all below it
 *          0.0.0.0 a.example b.example  as in a hosts file: these very names       # begins a comment
 * Names are taken as they are given, in any case; internationalised ones stand in their "xn--" form, as clients ask for them.
 */
#ifndef EVAL_DOMAINS_H
#define EVAL_DOMAINS_H

#include "config/conf.h"
#include "event/thread.h"

struct domains;

/* While a configuration is read: the list of that file (full path), the same one for equal paths, over reloads too, as long as a
 * configuration has it. */
struct domains *domains_of(struct conf *cf, struct text path);
/* In the master, before it forks: every list that a living configuration has is read if its file is not the one that was read last. False
 * after an [emerg] line: a list has never been read and cannot be. One that has been stays as it is after an [error] line. */
bool domains_load_all(void);
/* In one process, about once a second: lists whose files have changed, and then have stood still between two looks, are read anew: each by
 * a job that is given to post, which sees to it that its work, and then in the loop its done, are called. */
void domains_look(void (*post)(struct thread_job *j));

/* Is host (lower case, without port) in the list? */
bool domains_have(const struct domains *d, struct text host);
/* Names in the list, and bytes that it takes. */
size_t domains_count(const struct domains *d);
size_t domains_bytes(const struct domains *d);
struct text domains_path(const struct domains *d);

#endif
