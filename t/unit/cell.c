#include "base/cell.h"
#include "t/unit/tap.h"

struct thing { unsigned magic; char room[100]; };
static struct cells things = CELLS(struct thing);

static bool is_zero(const struct thing *t)
{
    for (size_t i = 0; i < sizeof(*t); i++)
        if (((const char *) t)[i]) return false;
    return true;
}

int main(void)
{
    enum { MANY = 10000 };
    static struct thing *t[MANY];
    bool zero = true, apart = true;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < MANY; i++) {
            t[i] = cell_take(&things);
            zero &= is_zero(t[i]);
            t[i]->magic = i + 1;
            t[i]->room[99] = 1;
        }
        for (unsigned i = 0; i < MANY; i++) apart &= t[i]->magic == i + 1;
        for (unsigned i = round; i < MANY; i += 2) cell_give(&things, t[i]), t[i] = NULL;
        for (unsigned i = 0; i < MANY; i++) cell_give(&things, t[i]);
    }
    ok(zero, "a cell is zeroed, new or used before");
    ok(apart, "cells do not share bytes");
    cell_give(&things, NULL);
    ok(things.size % sizeof(void *) == 0, "cells are aligned for pointers");
    return done();
}
