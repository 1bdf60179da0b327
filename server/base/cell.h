/*
 * cell: objects of one size that come and go in great numbers and stay long (connections). They lie packed in slabs of their
 * own, away from the buffers that are taken and freed between them, so that ten thousand idle ones leave no holes.
 * Slabs are kept until the process ends: their number is that of the most objects there were at once.
 */
#ifndef BASE_CELL_H
#define BASE_CELL_H

#include "base/base.h"

struct cells { size_t size; void *spare; char *at, *end; };

/* For a static object: struct cells conns = CELLS(struct conn); */
#define CELLS(type) { align_up(sizeof(type), sizeof(void *)), NULL, NULL, NULL }

/* Zeroed. Never NULL. */
void *cell_take(struct cells *c);
/* p came from cell_take of the same c. NULL is fine. */
void  cell_give(struct cells *c, void *p);

#endif
