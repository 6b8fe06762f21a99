/* Stands in for libnvidia-ml.so.1 where no NVIDIA GPU is: one GPU that takes 70 W, with or without a counter of energy. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int ready = 0;
static char gpu;

int nvmlInit_v2(void) { ready = 1; return 0; }
int nvmlShutdown(void) { ready = 0; return 0; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    if (!ready) return 1;
    if (index > 0) return 6; /* NVML_ERROR_NOT_FOUND */
    *device = &gpu;
    return 0;
}

int nvmlDeviceGetName(void *device, char *name, unsigned length) {
    if (device != &gpu || length < 16) return 2;
    strcpy(name, "NVIDIA Stub");
    return 0;
}

int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *mj) {
    struct timespec now;
    if (device != &gpu) return 2;
    if (getenv("STUB_NO_COUNTER")) return 3; /* NVML_ERROR_NOT_SUPPORTED, before Volta */
    clock_gettime(CLOCK_MONOTONIC, &now);
    *mj = 70ull * (now.tv_sec * 1000ull + now.tv_nsec / 1000000);
    return 0;
}

int nvmlDeviceGetPowerUsage(void *device, unsigned *mw) {
    if (device != &gpu) return 2;
    *mw = 70000;
    return 0;
}
