/* process: which process this is, and what modules add to it. What modules call stands in cycle.h. */
#ifndef PROCESS_PROCESS_H
#define PROCESS_PROCESS_H

#include "process/cycle.h"

/* Is there work that must end before a quitting worker leaves? */
bool process_is_held(void);

/* Goes over the process parts of all modules: begin with a zeroed struct; NULL at the end. */
struct process_parts { size_t next; const struct module *module; };
const struct process_part *process_next_part(struct process_parts *at);

/* Calls one member of every part that has it. */
#define PROCESS_EACH(member, ...) \
    do { \
        struct process_parts at_ = { 0 }; \
        for (const struct process_part *p_; (p_ = process_next_part(&at_)) != NULL;) if (p_->member) p_->member(__VA_ARGS__); \
    } while (0)

#endif
