/* paced: a response body that goes on in turns: what has come and waits, and the timer until the next turn. For filters that say how much, and when. */
#ifndef HTTP_PACED_H
#define HTTP_PACED_H

#include "http/request.h"
#include "http/response.h"

/* In r's pool; ends with r. */
struct paced {
    struct timer    timer;
    struct request *r;
    struct chain    held;
    enum body_end   end;      /* behind held */
};

void paced_begin(struct paced *p, struct request *r);
/* Takes all of in. Of a body that is broken off nothing is held any more. */
void paced_take(struct paced *p, struct chain *in, enum body_end end);
/* Is it time, and is there room? If not, what has come waits. */
bool paced_may_go(struct paced *p, struct filter_at *at);
/* out, which was taken off held, goes on, and its end if nothing is left. What is left has its turn in ms; 0: at once if there is nothing, else
 * as soon as it may be. */
void paced_pass(struct paced *p, struct filter_at *at, struct chain *out, uint64_t ms);

#endif
