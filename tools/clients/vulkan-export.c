// SPDX-License-Identifier: MIT
/*
 * A Vulkan program that exports memory as a dma-buf, writes it on each side and
 * looks for that on the other: Mesa's lavapipe allocates such memory from
 * /dev/udmabuf. Says "holding" and stays until the end of its standard input, so
 * that it can be looked at.
 */
#include <linux/dma-buf.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vulkan/vulkan.h>

/* Not a whole number of huge pages. */
#define SIZE	((4 << 20) + 3 * 4096)
#define WORDS	(SIZE / sizeof(uint32_t))
#define DMA_BUF	VK_EXTERNAL_MEMORY_HANDLE_TYPE_DMA_BUF_BIT_EXT

struct buffer {
	VkBuffer buffer;
	VkDeviceMemory memory;
};

static VkPhysicalDevice gpu;
static VkDevice device;
static VkQueue queue;
static VkCommandBuffer commands;

__attribute__((noreturn, format(printf, 1, 2)))
static void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

/* Calls a Vulkan function that returns a VkResult. */
#define call(function, ...) do {					\
	VkResult result_ = function(__VA_ARGS__);			\
	if (result_ != VK_SUCCESS)					\
		die(#function " returned %d", result_);			\
} while (0)

#define device_function(name) \
	((PFN_##name)vkGetDeviceProcAddr(device, #name))

static bool has_extension(const char *name)
{
	VkExtensionProperties *list;
	uint32_t count, i;

	call(vkEnumerateDeviceExtensionProperties, gpu, NULL, &count, NULL);
	list = calloc(count, sizeof(*list));
	call(vkEnumerateDeviceExtensionProperties, gpu, NULL, &count, list);
	for (i = 0; i < count && strcmp(list[i].extensionName, name); i++)
		;
	free(list);
	return i < count;
}

static void open_device(void)
{
	static const char *const extensions[] = {
		VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME,
		VK_EXT_EXTERNAL_MEMORY_DMA_BUF_EXTENSION_NAME,
	};
	const VkApplicationInfo application = {
		.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
		.apiVersion = VK_API_VERSION_1_1,
	};
	const VkInstanceCreateInfo instance_info = {
		.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
		.pApplicationInfo = &application,
	};
	/* Every queue can transfer, and every device has a family 0. */
	const VkDeviceQueueCreateInfo queue_info = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
		.queueCount = 1,
		.pQueuePriorities = (const float []){ 1 },
	};
	const VkDeviceCreateInfo device_info = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
		.queueCreateInfoCount = 1,
		.pQueueCreateInfos = &queue_info,
		.enabledExtensionCount = 2,
		.ppEnabledExtensionNames = extensions,
	};
	const VkCommandPoolCreateInfo pool_info = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
		.flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
	};
	VkCommandBufferAllocateInfo commands_info = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
		.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
		.commandBufferCount = 1,
	};
	VkPhysicalDeviceProperties properties;
	VkInstance instance;
	uint32_t count = 1;

	call(vkCreateInstance, &instance_info, NULL, &instance);
	if (vkEnumeratePhysicalDevices(instance, &count, &gpu) < 0 || !count)
		die("there is no Vulkan device");
	vkGetPhysicalDeviceProperties(gpu, &properties);
	printf("device %s\n", properties.deviceName);
	for (int i = 0; i < 2; i++)
		if (!has_extension(extensions[i]))
			die("the device has no %s", extensions[i]);
	call(vkCreateDevice, gpu, &device_info, NULL, &device);
	vkGetDeviceQueue(device, 0, 0, &queue);
	call(vkCreateCommandPool, device, &pool_info, NULL,
	     &commands_info.commandPool);
	call(vkAllocateCommandBuffers, device, &commands_info, &commands);
}

static uint32_t visible_type(uint32_t allowed)
{
	VkPhysicalDeviceMemoryProperties properties;
	uint32_t i;

	vkGetPhysicalDeviceMemoryProperties(gpu, &properties);
	for (i = 0; i < properties.memoryTypeCount; i++)
		if ((allowed & 1u << i) && (properties.memoryTypes[i].propertyFlags &
					    VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT))
			return i;
	die("no memory of the device is visible to the CPU");
}

/*
 * @external: whether the memory is a dma-buf. @import: the descriptor of one to
 * take over, or -1 for new memory.
 */
static struct buffer make_buffer(bool external, int import)
{
	const VkExternalMemoryBufferCreateInfo external_info = {
		.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
		.handleTypes = DMA_BUF,
	};
	const VkBufferCreateInfo buffer_info = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
		.pNext = external ? &external_info : NULL,
		.size = SIZE,
		.usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
			 VK_BUFFER_USAGE_TRANSFER_DST_BIT,
	};
	const VkExportMemoryAllocateInfo export_info = {
		.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO,
		.handleTypes = DMA_BUF,
	};
	const VkImportMemoryFdInfoKHR import_info = {
		.sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR,
		.handleType = DMA_BUF,
		.fd = import,
	};
	VkMemoryAllocateInfo memory_info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.allocationSize = SIZE,
	};
	VkMemoryRequirements requirements;
	struct buffer b;

	call(vkCreateBuffer, device, &buffer_info, NULL, &b.buffer);
	vkGetBufferMemoryRequirements(device, b.buffer, &requirements);
	if (requirements.size > SIZE)
		die("a buffer of %d bytes needs %llu", SIZE,
		    (unsigned long long)requirements.size);
	memory_info.memoryTypeIndex = visible_type(requirements.memoryTypeBits);
	if (import >= 0)
		memory_info.pNext = &import_info;
	else if (external)
		memory_info.pNext = &export_info;
	call(vkAllocateMemory, device, &memory_info, NULL, &b.memory);
	call(vkBindBufferMemory, device, b.buffer, b.memory, 0);
	return b;
}

static void free_buffer(struct buffer b)
{
	vkDestroyBuffer(device, b.buffer, NULL);
	vkFreeMemory(device, b.memory, NULL);
}

static int export_dmabuf(struct buffer b)
{
	const VkMemoryGetFdInfoKHR info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_GET_FD_INFO_KHR,
		.memory = b.memory,
		.handleType = DMA_BUF,
	};
	int fd;

	call(device_function(vkGetMemoryFdKHR), device, &info, &fd);
	if (lseek(fd, 0, SEEK_END) != SIZE)
		die("the dma-buf has %lld bytes, not %d",
		    (long long)lseek(fd, 0, SEEK_END), SIZE);
	return fd;
}

static void begin(void)
{
	const VkCommandBufferBeginInfo info = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
	};

	call(vkBeginCommandBuffer, commands, &info);
}

static void submit(void)
{
	const VkSubmitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.commandBufferCount = 1,
		.pCommandBuffers = &commands,
	};

	call(vkEndCommandBuffer, commands);
	call(vkQueueSubmit, queue, 1, &info, VK_NULL_HANDLE);
	call(vkQueueWaitIdle, queue);
}

static void fill(struct buffer b, uint32_t value)
{
	begin();
	vkCmdFillBuffer(commands, b.buffer, 0, SIZE, value);
	submit();
}

static void copy(struct buffer from, struct buffer to)
{
	const VkBufferCopy all = { .size = SIZE };

	begin();
	vkCmdCopyBuffer(commands, from.buffer, to.buffer, 1, &all);
	submit();
}

static void cpu_access(int dmabuf, uint64_t flags)
{
	struct dma_buf_sync sync = { .flags = flags };

	if (ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &sync))
		die("DMA_BUF_IOCTL_SYNC: %m");
}

/* Each word is @step more than the one before. */
static void check(const uint32_t *mem, uint32_t first, uint32_t step,
		  const char *what)
{
	for (uint32_t i = 0; i < WORDS; i++)
		if (mem[i] != first + step * i)
			die("%s: word %u is %#x and not %#x", what, i, mem[i],
			    first + step * i);
}

static void check_dmabuf(int dmabuf, const uint32_t *mem, uint32_t value,
			 const char *what)
{
	cpu_access(dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ);
	check(mem, value, 0, what);
	cpu_access(dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ);
}

int main(void)
{
	struct buffer exported, imported, plain;
	uint32_t *mem, *copied;
	int dmabuf;

	setvbuf(stdout, NULL, _IOLBF, 0);
	open_device();
	exported = make_buffer(true, -1);
	dmabuf = export_dmabuf(exported);
	mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf, 0);
	if (mem == MAP_FAILED)
		die("mmap of the dma-buf: %m");

	fill(exported, 0xc0ffee01);
	check_dmabuf(dmabuf, mem, 0xc0ffee01, "written by Vulkan");

	cpu_access(dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_WRITE);
	for (uint32_t i = 0; i < WORDS; i++)
		mem[i] = 77 + 3 * i;
	cpu_access(dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE);
	plain = make_buffer(false, -1);
	copy(exported, plain);
	call(vkMapMemory, device, plain.memory, 0, SIZE, 0, (void **)&copied);
	check(copied, 77, 3, "written through the dma-buf");

	/* Vulkan takes the descriptor over; lavapipe maps the dma-buf. */
	imported = make_buffer(true, dup(dmabuf));
	copy(imported, plain);
	check(copied, 77, 3, "read through an import");
	fill(imported, 0xc0ffee02);
	check_dmabuf(dmabuf, mem, 0xc0ffee02, "written through an import");

	puts("holding");
	while (getchar() != EOF)
		;

	free_buffer(imported);
	free_buffer(exported);
	check_dmabuf(dmabuf, mem, 0xc0ffee02, "after Vulkan has let go");
	return 0;
}
