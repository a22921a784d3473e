/* A libcuda.so.1 with the functions that Triton and Weft call. Memory is the host's, kernels do nothing, and every call
   succeeds unless told otherwise: the compiled path runs without a GPU, with numbers that mean nothing. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default"))) int
#define SUCCESS 0
#define INVALID_VALUE 1
#define OUT_OF_MEMORY 2

typedef struct {
    unsigned grid_x, grid_y, grid_z, block_x, block_y, block_z, shared;
    void *stream;
    struct attribute {
        int id;
        char padding[4];
        union { int integer; char bytes[64]; } value;
    } *attributes;
    unsigned count;
} launch_config;

enum { COOPERATIVE = 2 };

static struct { int64_t launches, grid, cooperative, threads, used, limit, failure, unfreed, refusal; } seen = { .limit = INT64_MAX };

/* What tests look at, and where they set `limit`, and the statuses of the next synchronization and the next launch. */
__attribute__((visibility("default"))) void *stub_seen(void) { return &seen; }

EXPORT cuInit(unsigned flags) { return SUCCESS; }
EXPORT cuDriverGetVersion(int *version) { *version = 13000; return SUCCESS; }
EXPORT cuGetErrorName(int status, const char **text) { *text = "CUDA_ERROR_OF_THE_STUB"; return SUCCESS; }
EXPORT cuGetErrorString(int status, const char **text) { *text = "an error that a test asked for"; return SUCCESS; }

EXPORT cuDeviceGetCount(int *count) { *count = getenv("WEFT_STUB_NO_GPU") ? 0 : 1; return SUCCESS; }
EXPORT cuDeviceGet(int *device, int ordinal) { *device = ordinal; return SUCCESS; }
EXPORT cuDeviceGetName(char *name, int size, int device) { strncpy(name, "stub GPU", size); return SUCCESS; }

EXPORT cuDeviceGetAttribute(int *value, int attribute, int device) {
    const char *major = getenv("WEFT_STUB_MAJOR");
    switch (attribute) {
    case 1: *value = 1024; break;     /* threads of a block */
    case 8: *value = 49152; break;    /* shared memory of a block */
    case 10: *value = 32; break;      /* threads of a warp */
    case 16: *value = 132; break;     /* multiprocessors */
    case 75: *value = major ? atoi(major) : 9; break;
    case 76: *value = 0; break;
    case 97: *value = 232448; break;  /* shared memory of a block that asks for it */
    default: *value = 0;
    }
    return SUCCESS;
}

EXPORT cuDevicePrimaryCtxRetain(void **context, int device) { *context = &seen; return SUCCESS; }
EXPORT cuCtxGetCurrent(void **context) { *context = &seen; return SUCCESS; }
EXPORT cuCtxSetCurrent(void *context) { return context == &seen ? SUCCESS : INVALID_VALUE; }
EXPORT cuCtxGetDevice(int *device) { *device = 0; return SUCCESS; }
EXPORT cuCtxGetLimit(size_t *value, int limit) { *value = 0; return SUCCESS; }
EXPORT cuCtxSetLimit(int limit, size_t value) { return SUCCESS; }

EXPORT cuStreamCreate(void **stream, unsigned flags) { *stream = &seen.launches; return SUCCESS; }
EXPORT cuStreamIsCapturing(void *stream, int *status) { *status = 0; return SUCCESS; }
EXPORT cuStreamSynchronize(void *stream) {
    int status = (int)seen.failure;
    seen.failure = 0;
    return status;
}

/* The size stands before the memory, so that freeing it can be counted. */
EXPORT cuMemAlloc_v2(uint64_t *address, size_t size) {
    if (seen.used + (int64_t)size > seen.limit) return OUT_OF_MEMORY;
    char *block = aligned_alloc(256, 256 + (size + 255) / 256 * 256);
    if (!block) return OUT_OF_MEMORY;
    *(size_t *)block = size;
    memset(block + 256, 255, size);
    seen.used += (int64_t)size;
    seen.unfreed += 1;
    *address = (uint64_t)(block + 256);
    return SUCCESS;
}
EXPORT cuMemFree_v2(uint64_t address) {
    char *block = (char *)address - 256;
    seen.used -= (int64_t) * (size_t *)block;
    seen.unfreed -= 1;
    free(block);
    return SUCCESS;
}
EXPORT cuMemGetInfo_v2(size_t *free_bytes, size_t *total) {
    *total = (size_t)seen.limit;
    *free_bytes = (size_t)(seen.limit - seen.used);
    return SUCCESS;
}
EXPORT cuMemHostAlloc(void **address, size_t size, unsigned flags) {
    *address = aligned_alloc(4096, (size + 4095) / 4096 * 4096);
    seen.unfreed += 1;
    return *address ? SUCCESS : OUT_OF_MEMORY;
}
EXPORT cuMemFreeHost(void *address) { free(address); seen.unfreed -= 1; return SUCCESS; }

EXPORT cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t size, void *stream) { memcpy((void *)to, from, size); return SUCCESS; }
EXPORT cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t size, void *stream) { memcpy(to, (void *)from, size); return SUCCESS; }
EXPORT cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t size, void *stream) { memcpy((void *)to, (void *)from, size); return SUCCESS; }
EXPORT cuMemsetD8Async(uint64_t to, unsigned char value, size_t size, void *stream) { memset((void *)to, value, size); return SUCCESS; }
EXPORT cuMemsetD32Async(uint64_t to, unsigned value, size_t count, void *stream) {
    for (size_t i = 0; i < count; i++) ((unsigned *)to)[i] = value;
    return SUCCESS;
}
EXPORT cuPointerGetAttribute(void *data, int attribute, uint64_t pointer) { *(uint64_t *)data = pointer; return SUCCESS; }
EXPORT cuPointerGetAttributes(unsigned count, int *attributes, void **data, uint64_t pointer) { return SUCCESS; }

EXPORT cuModuleLoadData(void **module, const void *image) { *module = &seen; return memcmp(image, "\177ELF", 4) ? INVALID_VALUE : SUCCESS; }
EXPORT cuModuleUnload(void *module) { return SUCCESS; }
EXPORT cuModuleGetFunction(void **function, void *module, const char *name) { *function = &seen; return SUCCESS; }
EXPORT cuFuncGetAttribute(int *value, int attribute, void *function) { *value = attribute == 0 ? 1024 : 0; return SUCCESS; }
EXPORT cuFuncSetAttribute(void *function, int attribute, int value) { return SUCCESS; }
EXPORT cuFuncSetCacheConfig(void *function, int config) { return SUCCESS; }
EXPORT cuOccupancyMaxActiveClusters(int *clusters, void *function, const launch_config *config) { *clusters = 1; return SUCCESS; }
EXPORT cuTensorMapEncodeTiled(void) { return SUCCESS; }
EXPORT cuTensorMapEncodeIm2col(void) { return SUCCESS; }

EXPORT cuLaunchKernelEx(const launch_config *config, void *function, void **parameters, void **extra) {
    int status = (int)seen.refusal;
    seen.refusal = 0;
    if (status) return status;
    seen.launches += 1;
    seen.grid = config->grid_x;
    seen.threads = config->block_x;
    seen.cooperative = 0;
    for (unsigned i = 0; i < config->count; i++)
        if (config->attributes[i].id == COOPERATIVE) seen.cooperative = config->attributes[i].value.integer;
    return config->stream == (void *)&seen.launches && function == (void *)&seen ? SUCCESS : INVALID_VALUE;
}
