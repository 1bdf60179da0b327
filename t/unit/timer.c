/* timers against a model, by a clock that stands still. */
#include "event/event.h"
#include "event/turn.h"
#include "t/unit/tap.h"

enum { TIMERS = 300, OPS = 10000 };

struct subject { struct timer timer; uint64_t want; unsigned fired; };   /* want: the model's due, 0: not set */

static struct subject subjects[TIMERS];
static unsigned late, early, unasked, order;
static uint64_t last_fired;

static void fired(struct timer *t)
{
    struct subject *s = container_of(t, struct subject, timer);
    s->fired++;
    if (s->want == 0) unasked++;
    else if (clock_now.ms < s->want) early++;
    if (timer_is_set(t)) order++;
    last_fired = clock_now.ms;
    s->want = 0;
    if (s->fired % 7 == 0) {        /* sets itself anew, as intervals do */
        timer_set(t, 5);
        s->want = clock_now.ms + 5;
    }
}

static uint32_t seed = 12345;
static uint32_t any(uint32_t below) { seed = seed * 1664525 + 1013904223; return (seed >> 8) % below; }

static void test_model(void)
{
    uint64_t now = 1000;
    unsigned wrong_wait = 0;
    for (unsigned i = 0; i < TIMERS; i++) subjects[i].timer.fire = fired;
    for (unsigned i = 0; i < OPS; i++) {
        struct subject *s = &subjects[any(TIMERS)];
        switch (any(5)) {
        case 0: timer_stop(&s->timer); s->want = 0; break;
        case 1: timer_end(&s->timer); s->want = 0; break;
        default: {
            uint32_t ms = any(4) ? any(1000) + 1 : any(20) + 1;
            timer_set(&s->timer, ms);
            s->want = now + ms;
        } }
        if (any(4) == 0) {
            now += any(60);
            clock_fake(now, 0);
            timer_run();
            uint64_t least = UINT64_MAX;
            for (unsigned k = 0; k < TIMERS; k++) {
                if (subjects[k].want && subjects[k].want <= now) late++;
                if (subjects[k].want && subjects[k].want < least) least = subjects[k].want;
            }
            int wait = timer_wait(-1);
            if (least != UINT64_MAX && (wait < 0 || now + (uint64_t) wait > least)) wrong_wait++;
        }
    }
    is_int(late, 0, "none late");
    is_int(early, 0, "none early");
    is_int(unasked, 0, "none that was stopped");
    is_int(order, 0, "a timer that fires is not set");
    is_int(wrong_wait, 0, "the poll never sleeps past a timer");
    for (unsigned k = 0; k < TIMERS; k++) timer_end(&subjects[k].timer);
    is_int(timer_wait(-1), -1, "none left: for ever");
    is_int(timer_wait(17), 17, "none left: what was asked");
}

static void nothing(struct timer *t) { (void) t; }

static void test_lazy(void)
{
    static struct timer many[1000];
    clock_fake(10000, 0);
    for (unsigned i = 0; i < countof(many); i++) { many[i].fire = nothing; timer_set(&many[i], 100); }
    uint32_t place = many[500].index;
    timer_set(&many[500], 60000);
    is_int(many[500].index, place, "moved later: only stored");
    timer_stop(&many[500]);
    is_int(many[500].index, place, "stopped: only stored");
    ok(!timer_is_set(&many[500]), "and not set");
    timer_set(&many[500], 200);
    is_int(timer_wait(-1), 100, "the first");
    clock_fake(10100, 0);
    timer_run();
    is_int(timer_wait(-1), 100, "put right when its old time came");
    ok(timer_is_set(&many[500]) && !timer_is_set(&many[1]), "one left");
    timer_set(&many[500], 3);
    is_int(timer_wait(-1), 3, "moved earlier: at once");
    timer_end(&many[500]);
    timer_set(&many[3], 0);
    ok(timer_wait(-1) == 1, "0 is the next ms, so that a turn ends");
    timer_close();
    is_int(many[3].index, 0, "forgotten at the end");
}

int main(void)
{
    clock_fake(1000, 0);
    test_model();
    test_lazy();
    return done();
}
