/*
 * head: from the upstream's head to the client's. Reads until the head is complete, decides about retrying by its status,
 * about X-Accel-Redirect and error_page, and fills r->out: fields are slices of the read chunk, hop-by-hop ones and hidden ones left out.
 */
#ifndef GATEWAY_HEAD_H
#define GATEWAY_HEAD_H

struct exchange;

/* The upstream may have sent something. Goes on to the pipe or the tunnel when the head is complete. */
void head_read(struct exchange *x);

#endif
