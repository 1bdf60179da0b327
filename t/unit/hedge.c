/* How long a hedge waits: a percentile of a group's recent times. */
#include "base/clock.h"
#include "gateway/conf.h"
#include "gateway/hedge.h"
#include "t/unit/tap.h"

static struct peer peers[2];
static struct group group = { .magic = GROUP_MAGIC, .name = TEXT_INIT("g"), .set = &group.base, .base = { .magic = PEER_SET_MAGIC, .group = &group, .peers = peers, .count = 2 } };

static uint64_t delay(uint32_t percentile, uint64_t least)
{
    return hedge_delay(&group, &(struct gateway_hedge) { .on = true, .percentile = percentile, .after_ms = least });
}

/* Of one time alone each percentile is that, or up to a quarter more. */
static void test_buckets(void)
{
    unsigned wrong = 0;
    for (uint64_t ms = 0; ms < 3600000; ms += 1 + ms / 7) {
        clock_now.ms += 60000;
        for (unsigned i = 0; i < 40; i++) hedge_count(&group, (int64_t) ms);
        uint64_t got = delay(50, 1);
        if (got < max_of(ms, (uint64_t) 1) || got > max_of(ms, (uint64_t) 1) + ms / 4) wrong++;
    }
    is_int(wrong, 0, "every time to an hour is told well enough");
    clock_now.ms += 60000;
    for (unsigned i = 0; i < 40; i++) hedge_count(&group, INT64_MAX / 2);
    ok(delay(50, 1) > 3000000, "what is longer counts as long");
}

static void test_percentiles(void)
{
    clock_now.ms += 60000;
    is_int(delay(0, 250), 250, "a time as it is given");
    for (unsigned i = 0; i < 19; i++) hedge_count(&group, 5);
    is_int(delay(95, 1), 0, "nothing is known yet of 19");
    hedge_count(&group, 5);
    is_int(delay(95, 1), 5, "of 20 it is");
    is_int(delay(95, 30), 30, "min");
    for (unsigned i = 0; i < 80; i++) hedge_count(&group, i < 76 ? 8 : 200);
    is_int(delay(20, 1), 5, "p20");
    is_int(delay(21, 1), 8, "p21");
    is_int(delay(96, 1), 8, "p96");
    ok(delay(97, 1) >= 200 && delay(97, 1) < 250, "p97");
    clock_now.ms += 15000;
    is_int(delay(50, 1), 8, "the window before counts");
    clock_now.ms += 15000;
    is_int(delay(50, 1), 0, "the one before that does not");
    hedge_count(&group, -1);
    is_int(delay(50, 1), 0, "what had no head is no time");
}

int main(void)
{
    clock_now.ms = 1000000;
    test_buckets();
    test_percentiles();
    return done();
}
