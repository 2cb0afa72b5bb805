//! The API as boto3 uses it: with its waiters, its paginators and its exceptions.

use super::aws::with_elasticache;

/// Groups come, are told apart by tags and pages, change their primary by name, fail over, and go; see the program.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs boto3"]
async fn boto3_waits_pages_and_tells_refusals_apart() {
    with_elasticache(async |aws| aws.python(include_str!("boto3.py")).await).await;
}
