//! SEND's released specification, in a copy that a judge can hold answers against.
//!
//! One part of the published bundle cannot be met by anybody: `TimelineElementDetailsV28` is a `oneOf` ("exactly one") of 45
//! shapes that are all open (none forbids other properties, most require little more than `recIndex`), so that every real
//! `details` meets several of them, and every real timeline breaks the contract to the letter. The copy reads the union as
//! it is meant, `anyOf`, and is stricter than the original otherwise: `details` must be the shape that belongs to the
//! element's `category`.

use std::path::{Path, PathBuf};

/// Which shape `details` has, by category.
pub const DETAILS: [(&str, &str); 39] = [
    ("SENDER_ACK_CREATION_REQUEST", "SenderAckCreationRequestDetails"),
    ("NORMALIZED_ADDRESS", "NormalizedAddressDetails"),
    ("REQUEST_ACCEPTED", "NotificationRequestAcceptedDetailsV28"),
    ("REQUEST_REFUSED", "RequestRefusedDetailsV27"),
    ("AAR_CREATION_REQUEST", "AarCreationRequestDetails"),
    ("AAR_GENERATION", "AarGenerationDetails"),
    ("GET_ADDRESS", "GetAddressInfoDetails"),
    ("PUBLIC_REGISTRY_CALL", "PublicRegistryCallDetails"),
    ("PUBLIC_REGISTRY_RESPONSE", "PublicRegistryResponseDetails"),
    ("SCHEDULE_DIGITAL_WORKFLOW", "ScheduleDigitalWorkflowDetailsV23"),
    ("PREPARE_DIGITAL_DOMICILE", "PrepareDigitalDetails"),
    ("SEND_DIGITAL_DOMICILE", "SendDigitalDetails"),
    ("SEND_DIGITAL_PROGRESS", "SendDigitalProgressDetailsV23"),
    ("SEND_DIGITAL_FEEDBACK", "SendDigitalFeedbackDetails"),
    ("DIGITAL_DELIVERY_CREATION_REQUEST", "DigitalDeliveryCreationRequestDetailsV28"),
    ("DIGITAL_SUCCESS_WORKFLOW", "DigitalSuccessWorkflowDetails"),
    ("DIGITAL_FAILURE_WORKFLOW", "DigitalFailureWorkflowDetails"),
    ("PREPARE_SIMPLE_REGISTERED_LETTER", "BaseRegisteredLetterDetails"),
    ("SEND_SIMPLE_REGISTERED_LETTER", "SimpleRegisteredLetterDetails"),
    ("SEND_SIMPLE_REGISTERED_LETTER_PROGRESS", "SimpleRegisteredLetterProgressDetails"),
    ("SCHEDULE_ANALOG_WORKFLOW", "ScheduleAnalogWorkflowDetailsV23"),
    ("PREPARE_ANALOG_DOMICILE", "BaseAnalogDetails"),
    ("PREPARE_ANALOG_DOMICILE_FAILURE", "PrepareAnalogDomicileFailureDetails"),
    ("SEND_ANALOG_DOMICILE", "SendAnalogDetails"),
    ("SEND_ANALOG_PROGRESS", "SendAnalogProgressDetailsV23"),
    ("SEND_ANALOG_FEEDBACK", "SendAnalogFeedbackDetailsV25"),
    ("ANALOG_SUCCESS_WORKFLOW", "AnalogSuccessWorkflowDetails"),
    ("ANALOG_FAILURE_WORKFLOW", "AnalogFailureWorkflowDetails"),
    ("COMPLETELY_UNREACHABLE_CREATION_REQUEST", "CompletelyUnreachableCreationRequestDetailsV28"),
    ("COMPLETELY_UNREACHABLE", "CompletelyUnreachableDetails"),
    ("ANALOG_WORKFLOW_RECIPIENT_DECEASED", "AnalogWorkflowRecipientDeceasedDetailsV26"),
    ("SCHEDULE_REFINEMENT", "ScheduleRefinementDetails"),
    ("REFINEMENT", "RefinementDetailsV23"),
    ("NOTIFICATION_VIEWED_CREATION_REQUEST", "NotificationViewedCreationRequestDetailsV28"),
    ("NOTIFICATION_VIEWED", "NotificationViewedDetailsV23"),
    ("PAYMENT", "NotificationPaidDetailsV23"),
    ("NOTIFICATION_CANCELLATION_REQUEST", "NotificationCancellationRequestDetails"),
    ("NOTIFICATION_CANCELLED", "NotificationCancelledDetails"),
    ("NOTIFICATION_TIMELINE_REWORKED", "NotificationTimelineReworkedDetails"),
];

/// Writes the readable copy of `bundle` into `folder`.
pub fn readable_specification(bundle: &Path, folder: &Path) -> PathBuf {
    let text = std::fs::read_to_string(bundle).unwrap();
    let element = "        details:\n          $ref: '#/components/schemas/TimelineElementDetailsV28'\n";
    let union = "    TimelineElementDetailsV28:\n      description: The raw event payload that will be different based on the event.\n      oneOf:\n";
    assert!(text.contains(element) && text.contains(union), "the specification has changed");
    let mut by_category = format!("{element}      allOf:\n");
    for (category, shape) in DETAILS {
        by_category.push_str(&format!(
            "        - if:\n            properties:\n              category:\n                const: {category}\n            required: [category]\n          \
             then:\n            properties:\n              details:\n                $ref: '#/components/schemas/{shape}'\n            required: [details]\n"
        ));
    }
    let text = text.replacen(element, &by_category, 1).replacen(union, &union.replace("oneOf", "anyOf"), 1);
    let path = folder.join("send.yaml");
    std::fs::write(&path, text).unwrap();
    path
}
