/*
 * seat: what this process holds in shared memory, written down where others find it when it dies. A hold is one request
 * on one peer (peer_state.inflight). Taking and giving back is two stores and an atomic add: a process may die at any moment, what
 * it held, and what it was just taking or giving back, is counted right after seat_mend.
 */
#ifndef UPSTREAM_SEAT_H
#define UPSTREAM_SEAT_H

#include "os/shm.h"

struct peer_state;

/* Claims a seat for this process in z, and gives back what processes that are dead held. False: no seat is free (holds
 * are then not written down). */
bool seat_open(struct zone *z);
/* Gives back everything this process still holds. */
void seat_close(void);

/* inflight + 1 (and picked), if that does not pass most (0: no limit). False: it would. *hold_out is for seat_release. */
bool seat_hold(struct peer_state *s, uint32_t most, uint32_t *hold_out);
void seat_release(struct peer_state *s, uint32_t hold);

/* least_time … inflight: the hold's time begins to count (since_ms, not 0), and ends. What a dead process held ends too. */
void seat_begin_unfinished(struct peer_state *s, uint32_t hold, uint64_t since_ms);
void seat_end_unfinished(struct peer_state *s, uint32_t hold, uint64_t since_ms);

/* Gives back what dead processes held; returns how many holds. What cannot be settled while others are busy with the same peer is
 * left to the next call. */
unsigned seat_mend(struct zone *z);

/* The least generation that a living process serves (its argument at seat_serving), or most when there is none. */
void     seat_serving(uint64_t generation);
uint64_t seat_least_generation(struct zone *z, uint64_t most);

#endif
