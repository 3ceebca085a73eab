#include <stdlib.h>

#include <ev.h>
#include <libwebsockets.h>

// libwebsockets writes a frame's header in front of the payload: this many bytes must be free there (LWS_PRE is a macro).
static inline size_t talkburst_lws_pre(void) { return LWS_PRE; }

// libev's loop, over epoll: libwebsockets' own one is poll(), which costs 2 ms a turn with 4,000 connections. ev.h is full of macros.
static inline struct ev_loop *talkburst_loop_new(void) { return ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV); }
static inline void talkburst_loop_turn(struct ev_loop *loop) { ev_run(loop, EVRUN_ONCE); }
static inline void talkburst_loop_free(struct ev_loop *loop) { ev_loop_destroy(loop); }

// Rings in the loop's thread, from any thread, once for all who rang before it was heard. lws_cancel_service() would do, but it calls each
// protocol back, and may be called only while there is a context.
typedef struct {
    ev_async watcher;
    void (*hear)(void *owner);
    void *owner;
} talkburst_bell;
static inline void talkburst_bell_heard(struct ev_loop *loop, ev_async *watcher, int events) {
    (void)loop;
    (void)events;
    // It stands first.
    talkburst_bell *bell = (talkburst_bell *)watcher;
    bell->hear(bell->owner);
}
static inline talkburst_bell *talkburst_bell_new(struct ev_loop *loop, void (*hear)(void *owner), void *owner) {
    talkburst_bell *bell = (talkburst_bell *)malloc(sizeof(talkburst_bell));
    if (!bell) return NULL;
    ev_async_init(&bell->watcher, talkburst_bell_heard);
    bell->hear = hear;
    bell->owner = owner;
    ev_async_start(loop, &bell->watcher);
    return bell;
}
static inline void talkburst_bell_ring(struct ev_loop *loop, talkburst_bell *bell) { ev_async_send(loop, &bell->watcher); }
static inline void talkburst_bell_free(struct ev_loop *loop, talkburst_bell *bell) {
    ev_async_stop(loop, &bell->watcher);
    free(bell);
}

// libwebsockets sets its one libev timer anew while it runs, which libev ignores: a shorter time would only count after the longer one.
// Each event makes it look at all its times, so an event every second keeps them that exact; they are whole seconds.
static inline void talkburst_tick(struct ev_loop *loop, ev_timer *timer, int events) {
    (void)loop;
    (void)events;
    lws_cancel_service((struct lws_context *)timer->data);
}
static inline void *talkburst_tick_start(struct ev_loop *loop, struct lws_context *context) {
    ev_timer *timer = (ev_timer *)malloc(sizeof(ev_timer));
    if (!timer) return NULL;
    ev_timer_init(timer, talkburst_tick, 1, 1);
    timer->data = context;
    ev_timer_start(loop, timer);
    return timer;
}
static inline void talkburst_tick_stop(struct ev_loop *loop, void *timer) {
    if (!timer) return;
    ev_timer_stop(loop, (ev_timer *)timer);
    free(timer);
}
