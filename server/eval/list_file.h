/*
 * list_file: large lists in files, one table each in memory that all processes share. A table is built once (in the master, before it
 * forks) and built anew beside the old one by a thread of the manager when its file changes; who looks something up sees the one or the other, and
 * waits for nothing. A file that cannot be used leaves the old table in place. What lines mean, and what a table is, is the kind's (domains.h,
 * networks.h).
 */
#ifndef EVAL_LIST_FILE_H
#define EVAL_LIST_FILE_H

#include "config/conf.h"
#include "event/thread.h"

/* Address space of a table, which costs nothing until it is used. */
enum { LIST_AREA = 512 << 20 };

struct list_file;

/* What a kind tells of its building. bad: lines that are none, the first of them first_bad. fault: what is wrong with that line, where it makes
 * the whole file unusable. */
struct list_building { void *area; uint64_t lines, bad, first_bad, count; bool full; char fault[256]; };

struct list_kind {
    const char *entries;                                     /* "names", for log lines */
    const char *(*build)(struct list_building *b, int fd);   /* from the file to b->area, LIST_AREA zeroes. NULL, or what is wrong, with errno or 0 */
};

/* While a configuration is read: the list of that file (full path), the same one for equal paths and kinds, over reloads too, as long as a
 * configuration has it. */
struct list_file *list_file_of(struct conf *cf, struct text path, const struct list_kind *kind);
/* In the master, before it forks: every list that a living configuration has is read if its file is not the one that was read last. False
 * after an [emerg] line: a list has never been read and cannot be. One that has been stays as it is after an [error] line. */
bool list_files_load_all(void);
/* In one process, about once a second: lists whose files have changed, and then have stood still between two looks, are read anew: each by
 * a job that is given to post, which sees to it that its work, and then in the loop its done, are called. */
void list_files_look(void (*post)(struct thread_job *j));

/* The answer of look about the table in force; false while there is none. A table may be written anew under a look that has slept since the
 * turn before: it reads nothing beyond LIST_AREA, and is asked again. */
bool list_file_ask(const struct list_file *f, bool (*look)(const void *area, const void *arg), const void *arg);
/* The table in force; NULL: there is none. Not while it may change. */
const void *list_file_table(const struct list_file *f);
struct text list_file_path(const struct list_file *f);

/* For kinds: calls fn for each line of the file, without its end. False: errno. */
bool list_file_lines(int fd, struct list_building *b, void (*fn)(struct list_building *b, struct text line));
/* What stands before a comment, trimmed. */
struct text list_file_words(struct text line, const char *comment);

#endif
