/*
 * child: the processes that the master started, and the word between them and it.
 *
 * Each child has a channel to the master: whole messages, the first byte of which tells what it is. A signal does where a
 * signal is enough, so that children can also be told by hand.
 */
#ifndef PROCESS_CHILD_H
#define PROCESS_CHILD_H

#include "process/cycle.h"
#include <signal.h>

enum child_kind { CHILD_WORKER, CHILD_MANAGER, CHILD_BINARY, CHILD_KEYS };

enum child_word {
    WORD_READY  = 'r',      /* child: I accept connections */
    WORD_REOPEN = 'o',      /* child: I was asked to reopen logs; master: here is a log file (path, descriptor) */
    WORD_RETIRE = 's',      /* master: the surplus sockets are at their end */
    WORD_KEY    = 'k',      /* master: here is one key more (descriptor) */
    WORD_LINE   = 'l',      /* master: here is one more who asks for keys (descriptor) */
};

struct child {
    struct child   *next;
    pid_t           pid;
    enum child_kind kind;
    unsigned        slot;
    uint64_t        generation;
    uint64_t        started_ms;
    int             channel;        /* the master's end; -1: none */
    int             line;           /* the key process's end of its line to that; -1: none */
    bool            ready;          /* it said so */
    bool            leaving;        /* told to end: not replaced */
};
extern struct child *child_list;
extern int child_channel;           /* in a child: its end */
extern int child_line;              /* its end of a line to the key process; -1: none */

const char *child_name(enum child_kind kind);           /* "worker process" … as log lines name it */

/* Forks. In the child, run is called and never returns. NULL after a [crit] line. */
struct child *child_start(enum child_kind kind, unsigned slot, struct cycle *c, void (*run)(struct cycle *c, unsigned slot));
void child_signal(const struct child *c, int number);
/* In the key process, when it has taken the lines: what was the master's is let go; other children do so when they begin. */
void child_forget(void);
/* Takes c off the list and frees it. */
void child_end(struct child *c);
struct child *child_find(pid_t pid);
/* One message to the master (in a child) or to a child: kind, text and perhaps a descriptor. Never waits. */
void child_tell(int channel, enum child_word word, struct text text, int pass);
/* One message: 0 when there is none now, -1 when the other side is gone, else its word. *text_out lies in room. */
int child_hear(int channel, char *room, size_t size, struct text *text_out, int *passed_out);

#endif
