//! How much memory an adapter has to give, by its driver's word. wgpu asks for it too, and keeps it to itself.

/// Bytes that a plan may take of an adapter's own memory: what the driver has left for this process in its largest heap
/// beside the GPU, but for a sixteenth, which pipelines, staging and the driver itself need. Absent where Vulkan is not
/// the one to ask.
#[cfg(not(target_vendor = "apple"))]
pub(super) fn memory_of(adapter: &wgpu::Adapter) -> Option<u64> {
    use ash::{ext::memory_budget, vk};
    #[expect(unsafe_code, reason = "wgpu does not tell an adapter's memory, and Vulkan's functions are all unsafe")]
    // SAFETY: nothing is destroyed through the handles, which is what `as_hal` asks for; it lends them, so that instance and
    // physical device live through the call. That is core Vulkan 1.1, which is checked first, and it fills two structs
    // that `push_next` has chained and that live in this block.
    let (properties, budget, known) = unsafe {
        let adapter = adapter.as_hal::<wgpu::hal::api::Vulkan>()?;
        let about = adapter.physical_device_capabilities();
        let instance = adapter.shared_instance();
        if about.properties().api_version.min(instance.instance_api_version()) < vk::API_VERSION_1_1 {
            return None;
        }
        let known = about.supports_extension(memory_budget::NAME);
        let mut budget = vk::PhysicalDeviceMemoryBudgetPropertiesEXT::default();
        let mut properties = vk::PhysicalDeviceMemoryProperties2::default();
        if known {
            properties = properties.push_next(&mut budget);
        }
        let device = adapter.raw_physical_device();
        instance.raw_instance().get_physical_device_memory_properties2(device, &mut properties);
        (properties.memory_properties, budget, known)
    };
    let heaps = properties.memory_heaps_as_slice().iter().enumerate();
    largest(
        heaps
            .filter(|(_, heap)| heap.flags.contains(vk::MemoryHeapFlags::DEVICE_LOCAL))
            .map(|(i, heap)| if known { (budget.heap_budget[i], budget.heap_usage[i]) } else { (heap.size, 0) }),
    )
}

/// See the other one: Metal is not asked, and says when it cannot allocate.
#[cfg(target_vendor = "apple")]
pub(super) fn memory_of(_: &wgpu::Adapter) -> Option<u64> {
    None
}

/// What the heap with most room has to give, of each heap's budget and usage.
#[cfg(not(target_vendor = "apple"))]
fn largest(heaps: impl Iterator<Item = (u64, u64)>) -> Option<u64> {
    heaps.map(|(budget, usage)| budget.saturating_sub(usage)).max().map(|room| room - room / 16)
}

#[cfg(all(test, not(target_vendor = "apple")))]
mod tests {
    use super::*;

    #[test]
    fn the_heap_with_most_room_counts_but_for_a_sixteenth() {
        assert_eq!(largest([(256, 0), (24 << 30, 8 << 30), (1 << 30, 2 << 30)].into_iter()), Some(15 << 30));
        assert_eq!(largest([].into_iter()), None);
        assert_eq!(largest([(5, 9)].into_iter()), Some(0));
    }

    /// Also software adapters name a heap of their own, although a profile does not use it.
    #[test]
    fn every_vulkan_adapter_is_asked() {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        for adapter in pollster::block_on(instance.enumerate_adapters(wgpu::Backends::VULKAN)) {
            let room = memory_of(&adapter);
            assert!(room.is_some_and(|bytes| bytes > 1 << 20), "{}: {room:?}", adapter.get_info().name);
        }
    }
}
