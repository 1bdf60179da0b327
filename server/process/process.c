#include "process/process.h"

const int process_part_kind;
bool process_quitting;
enum process_kind process_kind = PROCESS_MASTER;
unsigned process_slot;

static unsigned holds;

void process_hold(void) { holds++; }

void process_release(void)
{
    ASSERT(holds > 0);
    holds--;
}

bool process_is_held(void) { return holds > 0; }

const struct process_part *process_next_part(struct process_parts *at)
{
    for (;;) {
        if (at->module == NULL) at->module = module_list[at->next] ? module_list[at->next++] : NULL;
        if (at->module == NULL) return NULL;
        const struct module *m = at->module;
        at->module = m->extra;
        if (m->part && m->part_kind == &process_part_kind) return m->part;
    }
}
