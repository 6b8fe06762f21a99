/* Stands in for libcuda.so.1 where no GPU is: device memory is the host's, and queued work runs at once or, within a
 * capture, at every launch of the graph. It checks what a driver would crash on: handles, and what is left unfreed. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef void (*HostFn)(void *);
typedef struct { void *to; const void *from; size_t n; HostFn run; void *given; } Op;
typedef struct { uint32_t magic; int capturing, n; Op ops[32]; } Queue;

enum { STREAM = 0x57e4, GRAPH = 0x64a9, EXEC = 0xe8ec, INVALID = 1, NO_MEMORY = 2, NO_CAPTURE = 900 };

int stub_live = 0, stub_launches = 0, stub_capturable = 1;
static __thread void *current = 0;
static char context;

static Queue *checked(void *handle, uint32_t magic) {
    Queue *queue = handle;
    return queue && queue->magic == magic ? queue : 0;
}
static void run(const Op *op) { if (op->run) op->run(op->given); else memcpy(op->to, op->from, op->n); }
static int put(void *stream, Op op) {
    Queue *queue = checked(stream, STREAM);
    if (!queue || current != &context || queue->n == 32) return INVALID;
    if (queue->capturing) queue->ops[queue->n++] = op; else run(&op);
    return 0;
}
static Queue *made(uint32_t magic) { Queue *one = calloc(1, sizeof(Queue)); one->magic = magic; stub_live++; return one; }
static int gone(void *handle, uint32_t magic) {
    Queue *queue = checked(handle, magic);
    if (!queue) return INVALID;
    queue->magic = 0; free(queue); stub_live--;
    return 0;
}

int cuInit(unsigned flags) { return flags ? INVALID : 0; }
int cuDeviceGet(int *device, int index) { *device = 7; return index ? INVALID : 0; }
int cuDeviceGetName(char *name, int n, int device) { strncpy(name, "Orin", n); return device != 7; }
int cuDeviceGetAttribute(int *value, int which, int device) { *value = which == 75 ? 8 : 7; return device != 7; }
int cuDriverGetVersion(int *version) { *version = 12060; return 0; }
int cuGetErrorString(int code, const char **text) { *text = code == NO_MEMORY ? "out of memory" : "invalid value"; return 0; }
int cuDevicePrimaryCtxRetain(void **made, int device) { *made = &context; stub_live++; return device != 7; }
int cuDevicePrimaryCtxRelease_v2(int device) { stub_live--; return device != 7; }
int cuCtxSetCurrent(void *wanted) { current = wanted; return wanted != &context; }
int cuMemAlloc_v2(uint64_t *address, size_t n) {
    if (n > 1u << 26) return NO_MEMORY;
    *address = (uint64_t)(uintptr_t)malloc(n); stub_live++;
    return 0;
}
int cuMemFree_v2(uint64_t address) { free((void *)(uintptr_t)address); stub_live--; return !address; }
int cuMemHostAlloc(void **host, size_t n, unsigned flags) { *host = malloc(n); stub_live++; return flags != 0; }
int cuMemFreeHost(void *host) { free(host); stub_live--; return !host; }
int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t n, void *stream) {
    return put(stream, (Op){(void *)(uintptr_t)to, from, n, 0, 0});
}
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t n, void *stream) {
    return put(stream, (Op){to, (const void *)(uintptr_t)from, n, 0, 0});
}
int cuLaunchHostFunc(void *stream, HostFn fn, void *given) { return put(stream, (Op){0, 0, 0, fn, given}); }
int cuStreamCreate(void **stream, unsigned flags) { *stream = made(STREAM); return flags != 1; }
int cuStreamSynchronize(void *stream) { Queue *q = checked(stream, STREAM); return !q || q->capturing; }
int cuStreamDestroy_v2(void *stream) { return gone(stream, STREAM); }
int cuStreamBeginCapture_v2(void *stream, int mode) {
    Queue *queue = checked(stream, STREAM);
    if (!queue || mode != 1) return INVALID;
    if (!stub_capturable) return NO_CAPTURE;
    queue->capturing = 1; queue->n = 0;
    return 0;
}
int cuStreamEndCapture(void *stream, void **graph) {
    Queue *queue = checked(stream, STREAM);
    if (!queue || !queue->capturing) return INVALID;
    queue->capturing = 0;
    Queue *copy = made(GRAPH);
    memcpy(copy->ops, queue->ops, sizeof copy->ops); copy->n = queue->n;
    *graph = copy;
    return 0;
}
int cuGraphInstantiateWithFlags(void **executable, void *graph, uint64_t flags) {
    Queue *from = checked(graph, GRAPH);
    if (!from || flags) return INVALID;
    Queue *copy = made(EXEC);
    memcpy(copy->ops, from->ops, sizeof copy->ops); copy->n = from->n;
    *executable = copy;
    return 0;
}
int cuGraphDestroy(void *graph) { return gone(graph, GRAPH); }
int cuGraphExecDestroy(void *executable) { return gone(executable, EXEC); }
int cuGraphLaunch(void *executable, void *stream) {
    Queue *queue = checked(executable, EXEC);
    if (!queue || !checked(stream, STREAM) || current != &context) return INVALID;
    stub_launches++;
    for (int i = 0; i < queue->n; i++) run(&queue->ops[i]);
    return 0;
}
