//! How much memory an adapter can give, as its driver reports it. wgpu knows this too, but does not say it.

/// Bytes that a plan may take of an adapter's own memory: what the driver has left for this process in its largest heap on the
/// GPU, less a sixteenth for pipelines, staging and the driver itself. `None` if the backend is not Vulkan.
#[cfg(not(target_vendor = "apple"))]
pub(super) fn memory_of(adapter: &wgpu::Adapter) -> Option<u64> {
    use ash::{ext::memory_budget, vk};
    #[expect(
        unsafe_code,
        reason = "wgpu does not say how much memory an adapter has, and Vulkan's functions are all unsafe"
    )]
    // SAFETY: nothing is destroyed through the handles, as `as_hal` demands; it only lends them, so instance and physical
    // device outlive the call. The call is core Vulkan 1.1, which is checked first, and fills two structs that `push_next` has
    // chained and that live in this block.
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

/// Metal is not asked; it reports when it cannot allocate.
#[cfg(target_vendor = "apple")]
pub(super) fn memory_of(_: &wgpu::Adapter) -> Option<u64> {
    None
}

/// What the heap with the most room can give, from each heap's budget and usage.
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

    /// Software adapters report a heap as well, although a profile does not use it.
    #[test]
    fn every_vulkan_adapter_is_asked() {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        for adapter in pollster::block_on(instance.enumerate_adapters(wgpu::Backends::VULKAN)) {
            let room = memory_of(&adapter);
            assert!(room.is_some_and(|bytes| bytes > 1 << 20), "{}: {room:?}", adapter.get_info().name);
        }
    }
}
